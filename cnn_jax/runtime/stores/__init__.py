"""Object stores: workdirs, images and weights at s3://BUCKET/PATH and gs://BUCKET/PATH."""
