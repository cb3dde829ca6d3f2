"""The page's style sheet: one column, readable on a phone, light or dark as the reader has it."""

STYLE = """
:root { color-scheme: light dark; --page:#fbfbfa; --card:#fff; --ink:#1c2024; --soft:#5c656f;
  --line:#e3e5e8; --ref:#a9b1ba; --cur:#2f6fde; --data:#b45309; --hardware:#c02672;
  --model:#0b7562; --pipeline:#6d5bd0; --good:#1a7f4b; --bad:#c62828; }
@media (prefers-color-scheme: dark) { :root { --page:#14171a; --card:#1c2024; --ink:#e8eaed;
  --soft:#9aa4af; --line:#30363d; --ref:#6b7581; --cur:#6ea3ff; --data:#f5a742;
  --hardware:#f472b6; --model:#3ecfae; --pipeline:#a79bf5; --good:#5cc98f; --bad:#ff7b72; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--page); color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif; }
main { max-width:1040px; margin:0 auto; padding:24px 16px 64px; }
h1 { font-size:1.75rem; line-height:1.2; margin:.2em 0; }
h2 { font-size:1.2rem; margin:2.2em 0 .5em; } h3 { font-size:1.02rem; margin:0 0 .3em; }
h4 { font-size:.95rem; margin:0 0 .3em; } main > h3 { margin-top:1.6em; }
p { margin:.4em 0; max-width:72ch; } .soft { color:var(--soft); }
.lead { font-size:1.12rem; }
.card { background:var(--card); border:1px solid var(--line); border-radius:10px;
  padding:16px; margin:14px 0; min-width:0; }
.facts { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(45%,220px),1fr));
  gap:10px; margin:16px 0; padding:0; }
.facts div { background:var(--card); border:1px solid var(--line); border-radius:10px;
  padding:8px 14px; }
.facts dt { color:var(--soft); font-size:.82rem; }
.facts dd { margin:0; font-size:1.15rem; font-weight:600; font-variant-numeric:tabular-nums; }
table { border-collapse:collapse; width:100%; font-size:.92rem; }
th,td { text-align:left; padding:8px 10px; border-bottom:1px solid var(--line);
  vertical-align:top; font-variant-numeric:tabular-nums; }
th { color:var(--soft); font-weight:600; white-space:nowrap; }
tbody tr:last-child td { border-bottom:0; } td { overflow-wrap:break-word; }
.tag { display:inline-block; white-space:nowrap; border-radius:999px; padding:0 .6em;
  font-size:.82rem; font-weight:600; color:#fff; }
@media (prefers-color-scheme: dark) { .tag { color:#14171a; } }
.tag.data { background:var(--data); } .tag.hardware { background:var(--hardware); }
.tag.model { background:var(--model); } .tag.pipeline { background:var(--pipeline); }
.tag.page { background:var(--bad); } .tag.ticket { background:var(--cur); }
.tag.record, .tag.none { background:var(--soft); }
.found { color:var(--good); font-weight:600; } .missed { color:var(--bad); font-weight:600; }
.dated td:first-child { white-space:nowrap; }
.scroll { overflow-x:auto; } .wide svg { min-width:540px; }
.wide { background:linear-gradient(90deg,var(--card) 30%,transparent) 0 / 40px 100% local,
  linear-gradient(270deg,var(--card) 30%,transparent) 100% / 40px 100% local,
  linear-gradient(90deg,var(--line),transparent) 0 / 12px 100% scroll,
  linear-gradient(270deg,var(--line),transparent) 100% / 12px 100% scroll;
  background-repeat:no-repeat; background-color:var(--card); }
.incident { display:grid; grid-template-columns:minmax(0,1fr) minmax(0,1.15fr); gap:20px; }
.incident dl { display:grid; grid-template-columns:max-content minmax(0,1fr); gap:2px 12px;
  margin:.6em 0; font-size:.92rem; }
.incident ul { padding-left:1.2em; font-size:.92rem; }
.incident dt { color:var(--soft); } .incident dd { margin:0; overflow-wrap:anywhere; }
.grid { display:grid; grid-template-columns:repeat(auto-fill,minmax(min(45%,210px),1fr));
  gap:14px; }
.grid .card { margin:0; padding:10px 12px; } .grid h3 { font-size:.9rem; }
.faulty { border-color:var(--hardware); box-shadow:0 0 0 1px var(--hardware); }
.legend { display:flex; flex-wrap:wrap; gap:4px 16px; font-size:.85rem; color:var(--soft);
  margin:.3em 0; }
.legend i { display:inline-block; width:12px; height:12px; border-radius:3px; margin-right:6px;
  vertical-align:-1px; }
details summary { cursor:pointer; color:var(--soft); font-size:.9rem; }
.nats { color:var(--soft); font-size:.88rem; } .nats summary { font-size:inherit; }
:focus-visible { outline:2px solid var(--cur); outline-offset:2px; }
svg { display:block; width:100%; height:auto; font:12px system-ui,sans-serif; }
svg text { fill:var(--ink); } svg .tick, svg .tiny { fill:var(--soft); }
svg .tiny { font-size:10.5px; }
svg .strong { font-weight:600; }
svg .halo { paint-order:stroke; stroke:var(--card); stroke-width:4px; }
svg .grid { stroke:var(--line); } svg .axis { stroke:var(--soft); } svg .lane { fill:var(--line); }
svg .threshold { stroke:var(--ink); stroke-dasharray:5 4; } svg .flag { fill:var(--ink); }
svg .threshold.cur { stroke:var(--cur); } i.others { background:var(--ink); }
svg .line { fill:none; stroke-width:2; stroke-linejoin:round; }
svg .ref.line { stroke:var(--ref); stroke-width:1.2; } svg .cur.line { stroke:var(--cur); }
svg .others.line { stroke:var(--ink); stroke-width:1.3; opacity:.75; }
svg .data.line { stroke:var(--data); } svg .hardware.line { stroke:var(--hardware); }
svg .model.line { stroke:var(--model); } svg .pipeline.line { stroke:var(--pipeline); }
svg .ref.fill { fill:var(--ref); } svg .cur.fill { fill:var(--cur); }
svg .hardware.fill { fill:var(--hardware); }
svg .span { opacity:.13; } svg .span.data { fill:var(--data); }
svg .span.hardware { fill:var(--hardware); } svg .span.model { fill:var(--model); }
svg .span.pipeline { fill:var(--pipeline); }
i.ref { background:var(--ref); } i.cur { background:var(--cur); } i.data { background:var(--data); }
i.hardware { background:var(--hardware); }
a { color:var(--cur); }
@media (max-width:720px) {
  .incident { grid-template-columns:minmax(0,1fr); }
  table.cards thead { display:none; }
  table.cards tr { display:block; border-bottom:1px solid var(--line); padding:8px 0; }
  table.cards tbody tr:last-child { border-bottom:0; }
  table.cards td { display:grid; grid-template-columns:7.5em minmax(0,1fr); border:0;
    padding:3px 0; }
  table.cards td::before { content:attr(data-name); color:var(--soft); }
  table.cards td:has(> div:empty) { display:none; }
}
"""
"""CSS, put inline: the page is one file that may be mailed."""
