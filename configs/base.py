"""Every key of a run with its default, and what each dataset needs. Imported by the configs."""

from types import ModuleType

from ml_collections import ConfigDict, config_dict

# What fits each dataset. `fit` brings the images to `image_size`: small digits are enlarged,
# 28-pixel sets are padded as LeNet's authors did.
DATASETS = {
    "digits": {"fit": "bilinear", "channels": 1, "classes": 10, "test": 0.2, "validation": 144},
    "digits_angle": {"fit": "pad", "channels": 1, "classes": 1, "test": 0.2, "validation": 144},
    "mnist": {"fit": "pad", "channels": 1, "classes": 10, "validation": 5000},
    "fashion_mnist": {"fit": "pad", "channels": 1, "classes": 10, "validation": 5000},
    "cifar10": {"fit": "pad", "channels": 3, "classes": 10, "validation": 5000},
    "cifar100": {"fit": "pad", "channels": 3, "classes": 100, "validation": 5000},
}
IMAGENET = "imagenet2012"
# Photographs: the shorter side resized, the middle cut out; as many classes as there are folders.
PHOTOS = {"fit": "crop", "channels": 3, "classes": 0, "test": 0.1, "validation": 0.1}
# Of what a user registers, or gives from Python: as it is.
OTHER = {"fit": "bilinear", "channels": 0, "classes": 0, "test": 0.1, "validation": 0.1}
FACTS = {
    **DATASETS,
    IMAGENET: {**PHOTOS, "classes": 1000, "test": 0.0, "validation": 0},
    "folder": PHOTOS,
    "tfds": PHOTOS,
}


def variant(argument: str, names: tuple[str, ...], what: str, default: str) -> tuple[str, str]:
    """A config's argument "NAME[:DATASET]" or "DATASET" as the pair; the dataset may be "".

    `what` is what an error calls a name; `default` the name where a dataset alone is given.
    """
    name, _, dataset = argument.partition(":")
    if name in names:
        return name, dataset
    if name not in FACTS:
        raise ValueError(f"{argument!r} is no {what}; choices: {', '.join(names)}")
    return default, argument


def published(module: ModuleType, dataset: str = "") -> ConfigDict:
    """The recipe of a config's paper, `--config=NAME:published[:DATASET]`.

    It is what the config has for its paper's set, `module.PUBLISHED_ON` (ImageNet where it says
    nothing); another dataset changes what belongs to the data, and nothing else.
    """
    if not hasattr(module, "as_published"):
        raise ValueError("'published': this config has one recipe for every set, leave it out")
    own = getattr(module, "PUBLISHED_ON", IMAGENET)
    config = module.get_config(own)
    if dataset in ("", own):
        return config
    facts = FACTS.get(dataset.partition(":")[0], PHOTOS)
    if config.data.fit == PHOTOS["fit"] != facts["fit"]:
        raise ValueError(
            f"{dataset!r} has no photographs, and the paper's recipe crops them: name "
            f"{IMAGENET}, folder:PATH or tfds:NAME"
        )
    config.name += "_published"
    config.model.num_classes = facts["classes"]
    for key in ("name", "fit", "channels", "validation", "test"):
        config.data[key] = data(dataset, facts, config.data.image_size)[key]
    return config


def base(name: str, dataset: str, image_size: int) -> ConfigDict:
    """A complete config: Adam at 1e-3, its rate times 0.95 after every epoch."""
    # A dataset that nobody knows is reported with the choices when the data is loaded.
    facts = FACTS.get(dataset.partition(":")[0], OTHER)
    config = ConfigDict()
    config.name = name  # of the run's folder, with the dataset
    config.seed = 0  # of weights, order, augmentation and dropout
    config.epochs = 10.0  # passes over the training split; may be a fraction
    config.batch_size = 128  # over all devices
    config.eval_batch_size = 500  # 0: the batch size
    config.eval_every_epochs = 1.0  # on the validation split; the best is kept
    # How the report reads the test images: "single_crop", "ten_crop(256)", "dense(384)",
    # "multi_scale(256, 384, 512)" of any number, "crops_144(256, 32)"; a name without sizes has
    # these in proportion to the net's input, 224 pixels. "shifts(1)": moved by so many pixels.
    config.protocol = "single_crop"
    # BatchNorm's statistics of the report: over so many training images of the trained net at most,
    # in whole batches; 0: the moving averages of training.
    config.population_statistics = 0
    config.early_stopping_patience = 0  # evaluations without a better one; 0: never stop
    config.log_every_steps = 50  # 0: at evaluations only
    # When a step is not finite it is made again; where it is not finite then either: "skip" it, or
    # "rollback" to the newest checkpoint, with the rate times `on_nan_factor`. "stop": end the run.
    config.on_nan = "stop"
    config.on_nan_factor = 0.5  # of the rate, at every return
    # Every so many steps gradients and activations by stage, into flow.jsonl, flow.png; 0: never.
    config.log_flow = 0
    # Updates in one call to the device, a compiled loop that is slow on a CPU; 0: 1 there, else 8.
    config.steps_per_dispatch = 0
    # "pmap": BatchNorm over each device's own images. "elastic": over each of `shards`, with the
    # same bits on any number of devices.
    config.parallel = "jit"
    config.shards = 8  # of a batch, in elastic mode: a power of two
    config.devices = 0  # how many to use; 0: all
    # True: the optimizer's moments lie divided over the devices (ZeRO-1), for "jit".
    config.shard_optimizer = config_dict.placeholder(bool)
    config.dtype = "float32"  # or "bfloat16": compute; parameters stay float32
    # A first layer with a stride reads blocks of pixels as channels; the same function.
    config.space_to_depth = False
    config.accumulate = 1  # parts of a batch that go through the net one after another
    # Stages, as in `freeze`, whose activations are computed again for the backward pass, not kept.
    config.remat = ()
    config.clip_norm = 0.0  # largest norm of the gradient; 0: any
    config.average_decay = 0.0  # exponential moving average of the weights; 0: none
    # "lookahead(5, 0.95, 3, 3)": every 5 steps the weights go back to their moving average, whose
    # decay is 0.95 a step, times the part of the run done to the power 3, from epoch 3 on.
    config.lookahead = config_dict.placeholder(str)
    config.augment = ()  # e.g. ("pad_and_crop(4)", "horizontal_flip")
    # What comes from outside the image, and in `cutout`: "mean", which is 0 once normalised, or
    # "black", which None means.
    config.augment_border = config_dict.placeholder(str)

    config.init = start()
    # Stages that are not trained: names as in the report of an unknown one, or patterns,
    # e.g. ("conv1", "layer[123]").
    config.freeze = ()
    # In their BatchNorms, "freeze_all" uses and keeps the population statistics; "freeze_affine"
    # moves statistics but no scales; "train" trains them all.
    config.freeze_norm = "freeze_all"
    # From which epoch on a stage is trained, e.g. (("layer4", 2.0),), by an optimiser that starts
    # there. Each such epoch costs a compilation; the optimiser's memory is taken from the start.
    config.unfreeze = ()
    # From which epoch on a stage is trained no more, e.g. (("whiten/bias", 3.0),).
    config.freeze_after = config_dict.placeholder(tuple)

    # The options of the net that `model.name` names are keys too, None unless a config sets them:
    # as the name has them.
    config.model = ConfigDict()
    config.model.num_classes = facts["classes"]  # 0: as many as the dataset has

    config.data = data(dataset, facts, image_size)
    config.loss = loss(dataset)
    config.optimizer = optimizer()
    config.schedule = schedule()

    config.checkpoint = ConfigDict()
    config.checkpoint.every_steps = 0  # beside those at evaluations
    config.checkpoint.keep = 2  # the newest, beside the best
    return config


def start() -> ConfigDict:
    """What training begins with."""
    c = ConfigDict()
    # A workdir (its best checkpoint) or a folder of imported weights to begin with; "": fresh.
    c["from"] = ""
    # "auto": fresh for other classes, by name, or shape; "keep": only for another shape; "drop":
    # always. The same classes in another order are taken by name.
    c.head = "auto"
    # A first layer whose kernel is made of the eigenvectors of the training images' patches, each
    # twice with opposite signs, e.g. "whiten"; with `freeze` it stays so.
    c.whiten = config_dict.placeholder(str)
    return c


def data(dataset: str, facts: dict, image_size: int) -> ConfigDict:
    """Where the images come from, and how they come to the net."""
    c = ConfigDict()
    c.name = dataset  # as after the colon of --config
    c.dir = "~/.cache/cnn_jax/data"  # where official files and tfds sets are
    c.download = True  # the files that are not there
    c.mirror = ""  # a site that holds the same files
    c.image_size = image_size  # pixels a side, as the net sees them
    c.fit = facts["fit"]  # "pad", "bilinear", "bicubic", "nearest", "crop"
    c.resize = 0  # "crop": the shorter side before it; 0: image_size and resize_margin
    c.resize_margin = config_dict.placeholder(int)  # in pixels; None: to image_size / 0.875
    # Of photographs: "random_resized_crop(0.08, 1)", "scale_jitter(256, 512)", "random_crop(256)";
    # "": as `fit` has it.
    c.train_crop = ""
    c.channels = facts["channels"]  # 0: as in the source
    # "per_channel", "per_pixel_mean", "minus_one_to_one", "lecun1998", "imagenet", "none"; minus a
    # mean in grey levels: "channel_mean", "mean_image".
    c.normalisation = "per_channel"
    c.validation = float(facts["validation"])  # a number of examples, or a fraction
    c.test = float(facts.get("test", 0.0))  # where the set has no test split of its own
    c.split_seed = 0  # of what is held out; not of the run
    # Cross-validation: the parts that the data are divided into, by class; with a test split of the
    # set's own the validation is what is divided off, else the test.
    c.folds = config_dict.placeholder(int)
    c.fold = config_dict.placeholder(int)  # the part that is held out, from 0
    # This part of the training labels is drawn anew, from all classes alike (Zhang et al. 2017).
    c.random_labels = config_dict.placeholder(float)
    # "balanced": all classes as often in an epoch, of the same length; None is "shuffled", each
    # example once.
    c.sampler = config_dict.placeholder(str)
    c.skip_bad = False  # leave unusable files out instead of stopping
    c.max_pixels = 50_000_000  # of one image; a larger one is refused by its header
    c.verify = ""  # a file of SHA-256 hashes that the photographs are held to
    c.streaming = config_dict.placeholder(bool)  # None: where memory is too small
    c.memory_megabytes = 2000  # decoded photographs up to this stay in memory
    c.workers = 0  # processes that decode; 0: threads of this one
    c.threads = 8  # that decode, in each process
    c.label_changing = ()  # transforms of `augment` to warn of, e.g. ("hue",)
    return c


def loss(dataset: str) -> ConfigDict:
    """What is made small."""
    c = ConfigDict()
    # "softmax_cross_entropy", "binary_cross_entropy", "mean_squared", "mean_absolute", "lecun1998".
    c.name = "mean_squared" if dataset == "digits_angle" else "softmax_cross_entropy"
    c.label_smoothing = 0.0  # this part of the target goes to all classes alike
    c.j = config_dict.placeholder(float)  # lecun1998: the constant of eq. 9; 0.1
    # Of an example's loss by its class, while training: "balanced", "effective_number(0.999)", or
    # "given(1, 2.5)", a number a class in their order; None: all alike.
    c.class_weights = config_dict.placeholder(str)
    c.auxiliary_weights = ()  # of the auxiliary heads' losses, beside 1 for the net's own
    return c


def optimizer() -> ConfigDict:
    """The rule of the update."""
    c = ConfigDict()
    # "sgd", "momentum", "nesterov", "rmsprop", "rmsprop_tf", "adagrad", "adadelta", "adam",
    # "adamw", "nadam", "lion", "lars", "lamb", "muon", "schedule_free". What is None has the value
    # that the optimiser is known with.
    c.name = "adam"
    # Before the schedule; 1e-3, adadelta and lars 1, lion 1e-4, schedule_free 2.5e-3.
    c.learning_rate = config_dict.placeholder(float)
    # "linear" or "sqrt": the rate is of `rate_batch` images and grows so with the batch; None: no.
    c.rate_scaling = config_dict.placeholder(str)
    c.rate_batch = config_dict.placeholder(int)  # 256
    # momentum, nesterov, lars: 0.9; muon 0.95; rmsprop, rmsprop_tf: 0.
    c.momentum = config_dict.placeholder(float)
    c.rate_inside = config_dict.placeholder(bool)  # of the momentum; rmsprop_tf, lars: True
    c.b1 = 0.9  # Adam and its kin: decay of the gradient's mean
    # Adam and its kin: decay of its square's; 0.999, lion 0.99.
    c.b2 = config_dict.placeholder(float)
    c.trust_coefficient = config_dict.placeholder(float)  # lars: 1e-3
    c.bias_correction = config_dict.placeholder(bool)  # Adam: of both for their zero start; True
    c.decay = config_dict.placeholder(float)  # of the squares; 0.9, adadelta 0.95
    # Added where it is divided; 1e-8, adadelta and lamb 1e-6, rmsprop_tf 1e-10.
    c.eps = config_dict.placeholder(float)
    c.weight_decay = 0.0  # of kernels; see decay_vectors
    c.weight_decay_kind = "l2"  # or "decoupled"
    c.decay_vectors = False  # also biases and norm scales
    c.decay_except = config_dict.placeholder(tuple)  # what never decays, e.g. ("block*/depthwise",)
    c.groups = ()  # factors of the rate, e.g. (("fc", 10.0),); the last one counts
    # True: decay is divided by a stage's factor in `groups`, so that its product with the rate is
    # the same everywhere; for "l2".
    c.decay_by_group = config_dict.placeholder(bool)
    c.layer_decay = 1.0  # factor of the rate for each stage away from the head
    return c


def schedule() -> ConfigDict:
    """The learning rate over the epochs."""
    c = ConfigDict()
    c.name = "exponential"  # or "constant", "step", "cosine", "linear", "plateau"
    c.gamma = 0.95  # the factor of exponential, step and plateau
    c.every_epochs = 1.0  # exponential
    c.at_epochs = ()  # step
    c.final_fraction = 0.0  # cosine, linear
    c.patience = 5  # plateau, in evaluations
    c.threshold = 1e-4  # plateau, relative
    c.cooldown = 0  # plateau, in evaluations
    c.warmup = "linear"  # or "constant"
    c.warmup_epochs = 0.0  # before the schedule begins
    c.warmup_from = 0.0  # fraction of the rate at its beginning
    return c
