"""The page's style sheet: light and dark by the reader's setting, one column on a phone."""

STYLE = """
:root{--paper:#fff;--ink:#1c1c1c;--soft:#666;--rule:#ddd;--card:#f6f6f4;
--hit:40,120,70;--miss:190,60,50;--c0:#3564a8;--c1:#d0701c;--c2:#2f8f56;--c3:#b03a48;
--c4:#7a5bb5;--c5:#8a6d3b;--c6:#c558a0;--c7:#3b9aa8}
@media(prefers-color-scheme:dark){:root{--paper:#16181b;--ink:#e8e6e3;--soft:#a3a3a3;
--rule:#383c42;--card:#1f2226;--hit:70,170,110;--miss:220,90,80;--c0:#7aa7e8;--c1:#f0a050;
--c2:#68c48e;--c3:#e77a86;--c4:#b59cf0;--c5:#c9ab72;--c6:#ec93cd;--c7:#74cfdd}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1100px;padding:1rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:break-word}
h1{font-size:1.5rem;margin:.5rem 0 0;line-height:1.25}
h2{font-size:1.15rem;margin:2rem 0 .4rem;border-top:1px solid var(--rule);padding-top:.8rem}
h3{font-size:1rem;margin:1rem 0 .3rem}
.hint,.sub{color:var(--soft);margin:.1rem 0 .6rem;font-size:.92rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:.6rem;
margin:.8rem 0}
.tiles div{background:var(--card);border-radius:8px;padding:.6rem .8rem}
.tiles b{display:block;font-size:1.3rem;line-height:1.3}
.tiles span{color:var(--soft);font-size:.8rem;line-height:1.3;display:block}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(290px,1fr));gap:1rem}
figure{margin:0;background:var(--card);border-radius:8px;padding:.6rem;max-width:520px}
figcaption{font-weight:600;font-size:.9rem}svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font-size:12px}.g{stroke:var(--rule)}
.mark{stroke:var(--soft);stroke-dasharray:2 4;stroke-width:1.5}.bar{fill:var(--c0)}
.l polyline{fill:none;stroke-width:2}.l circle{fill:currentColor;stroke:none}
.keys{font-size:.8rem;display:flex;flex-wrap:wrap;gap:.1rem .8rem}
.k{display:inline-block;width:1rem;border-top:3px solid;margin-right:.3rem;
vertical-align:middle}
.wide{overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;font-size:.88rem}
th,td{padding:.2rem .6rem;text-align:left;border-bottom:1px solid var(--rule);
vertical-align:top}
td{overflow-wrap:anywhere;min-width:4rem}thead th{color:var(--soft);font-weight:500}
tbody th{font-weight:500}.numbers td{text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}.numbers thead th:not(:first-child){text-align:right}
.matrix td{text-align:center;border:1px solid var(--paper);min-width:2.3rem;padding:.2rem}
.matrix .hit{background:rgba(var(--hit),calc(var(--s)*.7))}
.matrix .miss{background:rgba(var(--miss),calc(min(1,var(--s)*5)*.7))}
.matrix thead th{vertical-align:bottom;padding:.2rem;text-align:center}
.matrix thead span{writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap}
.matrix tbody th{white-space:nowrap}
img{max-width:100%;border-radius:6px}.mistakes{background:#fff;display:block}
.pixels{image-rendering:pixelated;display:block}
details{margin:.4rem 0}summary{cursor:pointer;color:var(--soft)}
.run{border:1px solid var(--rule);border-radius:8px;padding:.4rem .8rem}
""" + "".join(
    f".c{i}{{stroke:var(--c{i});color:var(--c{i});border-color:var(--c{i})}}" for i in range(8)
)
