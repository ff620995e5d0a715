// The look of a report page. Colours are pairs for light and dark; levels go from the background outwards,
// so that the worst stands out most in both. Within tolerance is blue and beyond it orange, a pair that all
// common kinds of colour blindness keep apart, and a level's sign always stands with its colour.

/** The page's style sheet. */
export const PAGE_STYLE: string = `
:root {
  color-scheme: light dark;
  --page: light-dark(#ffffff, #14171c);
  --panel: light-dark(#f6f7f9, #1c2027);
  --line: light-dark(#d8dce2, #343b46);
  --ink: light-dark(#1a1d22, #e6e9ee);
  --dim: light-dark(#59616e, #a3adba);
  --focus: light-dark(#0b5cad, #7cb8ff);
  --chosen: light-dark(#e3effb, #22344a);
  --bad: light-dark(#a8320a, #ffb066);
  --good: light-dark(#0b5cad, #7cb8ff);
  --l0: light-dark(#e9ecf0, #2b3038); --i0: light-dark(#3c434d, #cbd2db);
  --l1: light-dark(#d3e5f5, #1f3c5a); --i1: light-dark(#12304c, #dcebfa);
  --l2: light-dark(#9cc5ea, #2f6ca8); --i2: light-dark(#0d2740, #ffffff);
  --l3: light-dark(#fdd0a2, #7d430f); --i3: light-dark(#5a2a02, #ffffff);
  --l4: light-dark(#fd9a4a, #cc6d1a); --i4: light-dark(#3a1a00, #1a0c00);
  --l5: light-dark(#c9400a, #ffab52); --i5: light-dark(#ffffff, #1a0c00);
  --l6: light-dark(#741806, #ffe3bf); --i6: light-dark(#ffffff, #1a0c00);
  --l7: light-dark(#111111, #ffffff); --i7: light-dark(#ffd43b, #b00020);
  --strip: 0px;
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
body[data-scale="magnitude"] {
  --l0: light-dark(#e9ecf0, #2b3038); --i0: light-dark(#3c434d, #cbd2db);
  --l1: light-dark(#e2dff0, #2f2a4d); --i1: light-dark(#2b2350, #e4e0fa);
  --l2: light-dark(#c3bce0, #43397a); --i2: light-dark(#221a45, #ffffff);
  --l3: light-dark(#a196cc, #5f53a3); --i3: light-dark(#170f36, #ffffff);
  --l4: light-dark(#7262ab, #8a7fc4); --i4: light-dark(#ffffff, #0e0a22);
  --l5: light-dark(#583f97, #b9b1e2); --i5: light-dark(#ffffff, #0e0a22);
  --l6: light-dark(#330f6b, #e9e6fa); --i6: light-dark(#ffffff, #0e0a22);
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
code, .row .name, .row .value, #detail h2, td, .count {
  font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
code, .name, h2, th, td { unicode-bidi: isolate; overflow-wrap: anywhere; }
header, main, footer { max-width: 1500px; margin: 0 auto; padding: 12px 24px; }
header { display: flex; gap: 16px; align-items: baseline; justify-content: space-between; }
header p { margin: 0; color: var(--dim); overflow-wrap: anywhere; }
h1 { font-size: 22px; line-height: 1.35; margin: 4px 0 8px; font-weight: 600; }
h2 { font-size: 16px; margin: 0 0 8px; }
h1 code { font-size: 0.95em; background: var(--panel); padding: 0 4px; border-radius: 4px; }
button, input, select {
  font: inherit; color: inherit; background: var(--page);
  border: 1px solid var(--line); border-radius: 6px; padding: 3px 10px;
}
button { cursor: pointer; }
button:hover { background: var(--panel); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 1px; }
#answer {
  border: 1px solid var(--line); border-left: 6px solid var(--dim); border-radius: 8px;
  padding: 14px 20px; background: var(--panel);
}
#answer.bad { border-left-color: var(--bad); }
#answer.good { border-left-color: var(--good); }
#answer p { margin: 4px 0; max-width: 110ch; }
.status { font-weight: 700; text-transform: uppercase; letter-spacing: 0.06em; font-size: 13px; }
.bad .status { color: var(--bad); }
.good .status { color: var(--good); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; margin: 12px 0; }
caption { text-align: left; color: var(--dim); padding-bottom: 2px; overflow-wrap: anywhere; }
th, td {
  text-align: right; padding: 2px 10px; border-bottom: 1px solid var(--line); vertical-align: top;
}
th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
#answer table { min-width: min(100%, 640px); }
#answer td:first-child button { font: inherit; padding: 0 6px; text-align: left; }
#answer th, #answer td { overflow-wrap: normal; white-space: nowrap; }
.controls { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; margin: 20px 0 8px; }
.controls label { display: inline-flex; gap: 6px; align-items: center; }
#filter { width: 240px; max-width: 60vw; }
#found { color: var(--dim); }
#legend {
  display: flex; flex-wrap: wrap; gap: 4px 16px; list-style: none; margin: 6px 0; padding: 0;
  font-size: 13px;
}
#legend li { display: inline-flex; gap: 6px; align-items: center; }
.hint { color: var(--dim); font-size: 13px; margin: 4px 0; }
.chip {
  display: inline-block; flex: none; width: 20px; height: 20px; line-height: 20px; border-radius: 4px;
  text-align: center; font-size: 12px; font-weight: 700;
}
.chip.none { color: var(--dim); font-weight: 400; }
.l0 { background: var(--l0); color: var(--i0); } .l1 { background: var(--l1); color: var(--i1); }
.l2 { background: var(--l2); color: var(--i2); } .l3 { background: var(--l3); color: var(--i3); }
.l4 { background: var(--l4); color: var(--i4); } .l5 { background: var(--l5); color: var(--i5); }
.l6 { background: var(--l6); color: var(--i6); } .l7 { background: var(--l7); color: var(--i7); }
.panes { display: grid; grid-template-columns: minmax(0, 1fr) minmax(300px, 34%); gap: 20px; }
.head {
  position: sticky; top: 0; z-index: 1; display: flex; align-items: center; height: 26px;
  background: var(--page); border-bottom: 1px solid var(--line); color: var(--dim); font-size: 12px;
}
.head span { flex: 1; padding-left: 8px; }
#columns { width: var(--strip); height: 18px; margin-right: 4px; }
.row {
  display: flex; align-items: center; gap: 8px; min-height: 26px; cursor: default;
  padding: 1px 4px 1px calc(8px + var(--depth) * 18px); border-radius: 4px;
}
.row:hover { background: var(--panel); }
.row[aria-selected="true"] { background: var(--chosen); box-shadow: inset 3px 0 0 var(--focus); }
.row:focus-visible { outline-offset: -3px; }
.twist { flex: none; width: 12px; color: var(--dim); cursor: pointer; }
.row[aria-expanded] .twist::before { content: "▸"; display: inline-block; }
.row[aria-expanded="true"] .twist::before { transform: rotate(90deg); }
.row .name { font-size: 13px; }
.row .about { flex: 1; color: var(--dim); font-size: 12px; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; min-width: 0; }
.badge {
  border: 1px solid var(--bad); color: var(--bad); border-radius: 10px; padding: 0 8px; font-size: 12px;
  font-weight: 600; white-space: nowrap;
}
#detail p.badge { display: inline-block; margin: 0 0 8px; }
.row .value { font-size: 12px; color: var(--dim); white-space: nowrap; }
.row .value.bad { color: var(--bad); font-weight: 700; }
.inside { display: none; font-size: 11px; border-radius: 4px; padding: 0 5px; white-space: nowrap; }
.row[aria-expanded="false"] .inside:not(:empty) { display: inline; }
.strip { flex: none; width: var(--strip); height: 18px; }
#detail {
  position: sticky; top: 12px; align-self: start; max-height: calc(100vh - 24px); overflow: auto;
  background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 14px 18px;
}
#detail p { margin: 4px 0; }
#detail .about { color: var(--dim); }
#detail table { width: 100%; }
#detail th, #detail td { padding-right: 4px; }
#detail td { white-space: nowrap; }
#detail th[scope="row"] { overflow-wrap: break-word; }
.histogram td:nth-child(2) { width: 50%; }
.histogram th { font-weight: 400; white-space: pre-wrap; }
.histogram td { overflow-wrap: normal; }
.bar { height: 12px; margin-top: 4px; background: var(--good); border-radius: 0 3px 3px 0; }
.bar.marked { background: var(--bad); }
.marked { font-weight: 700 !important; }
.cells th[scope="row"] { white-space: nowrap; }
.cells .cursor { outline: 2px solid var(--focus); }
details { margin: 12px 0; border-top: 1px solid var(--line); padding-top: 8px; }
summary { cursor: pointer; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 18px; margin: 8px 0; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { color: var(--dim); font-size: 13px; }
@media (max-width: 900px) {
  header, main, footer { padding: 10px 14px; }
  h1 { font-size: 18px; }
  .panes { grid-template-columns: minmax(0, 1fr); }
  .head { justify-content: flex-end; }
  .head span { display: none; }
  .row { flex-wrap: wrap; row-gap: 0; padding-left: calc(8px + var(--depth) * 10px); }
  .row .strip { margin-left: auto; }
  #detail { top: auto; bottom: 0; max-height: 36vh; box-shadow: 0 -4px 16px light-dark(#0002, #0008); }
}
@media print {
  :root, :root[data-theme] { color-scheme: light; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .controls, .hint, #theme { display: none; }
  .panes { display: block; }
  .head, #detail { position: static; max-height: none; }
  .row, tr { break-inside: avoid; }
  details > * { display: revert; }
}
`;
