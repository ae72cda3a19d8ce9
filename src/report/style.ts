/** The style of all report pages: light and dark by the reader's setting, from 360 pixels up, and as A4 pages when printed. */

/** Colours of the light scheme. Texts have a contrast of at least 4.5 on both grounds, and marks of charts at least 3. */
const LIGHT =
  '--ink:#16202c;--soft:#51606f;--line:#dde3e9;--paper:#fff;--ground:#f5f7f9;--accent:#0b6e66;--accent-soft:#e5f3f1;--mark:#5b7fa6;--quiet:#7c8997;--better:#046c4e;--worse:#b42318';
const DARK =
  '--ink:#e6ebf0;--soft:#a5b2bf;--line:#2c3743;--paper:#18202a;--ground:#10161d;--accent:#5ad1c3;--accent-soft:#14312f;--mark:#7ea3cc;--quiet:#8b99a8;--better:#4ade9f;--worse:#ff9a8d';

export const STYLE = `
:root{color-scheme:light dark;${LIGHT}}
@media screen and (prefers-color-scheme:dark){:root{${DARK}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
a{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-9999px}.skip:focus{left:16px;top:8px;background:var(--paper);padding:6px 12px;z-index:1}
.page{max-width:1120px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:clamp(22px,3.4vw,30px);line-height:1.2;margin:0 0 8px;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{font-size:20px;margin:44px 0 10px;letter-spacing:-.01em}h3{font-size:15px;margin:0 0 8px;font-weight:600}section>h3{margin-top:24px}
p{color:var(--soft);margin:0 0 10px;max-width:76ch;overflow-wrap:anywhere}
nav ul{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:18px 0 0;padding:0;font-size:14.5px}
nav a{text-decoration:none;display:inline-block;padding:4px 0}nav a:hover{text-decoration:underline}
.card{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:18px;margin:0 0 16px;min-width:0}
.scroll{overflow-x:auto}.narrow{display:none}.narrow svg{width:100%;max-width:440px}
table{border-collapse:separate;border-spacing:0;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;font-size:14px;font-weight:600;padding:0 0 8px;color:var(--ink)}
th,td{padding:9px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}
thead th{font-size:13px;color:var(--soft);font-weight:600;vertical-align:bottom}
tbody th{font-weight:600}
tr>:first-child{text-align:left;padding-left:0;white-space:normal;overflow-wrap:anywhere;min-width:13ch}tr>:last-child{padding-right:0}tbody tr:last-child>*{border-bottom:0}
.text{text-align:left;white-space:normal;overflow-wrap:anywhere}td.text{min-width:16ch;font-size:14px}
caption span{display:inline-block}
td small,th small{color:var(--soft);display:block;font-size:12.5px;line-height:1.35;font-weight:400}
th small,.text small{max-width:34ch}
tr.chosen>*{background:var(--accent-soft)}tr.chosen>:first-child{box-shadow:-18px 0 0 var(--accent-soft)}tr.chosen>:last-child{box-shadow:18px 0 0 var(--accent-soft)}
th button{all:unset;cursor:pointer;font:inherit;color:inherit}th button:hover{color:var(--ink)}th button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
th[aria-sort=ascending] button::after{content:" ↑"}th[aria-sort=descending] button::after{content:" ↓"}
.change{font-size:13px;margin-left:6px;color:var(--soft)}.better{color:var(--better)}.worse{color:var(--worse)}.chance{color:var(--soft)}
.verdict{background:var(--paper);border:1px solid var(--line);border-left:5px solid var(--accent);border-radius:12px;padding:24px 26px;margin:22px 0 0}
.verdict.open{border-left-color:var(--quiet)}
.verdict h2{margin:0 0 8px;font-size:14px;color:var(--soft);font-weight:600;letter-spacing:0}
.verdict .answer{font-size:clamp(19px,2.6vw,25px);line-height:1.35;color:var(--ink);margin:0;max-width:54ch;letter-spacing:-.01em}
.verdict .rule{font-size:14px;margin:14px 0 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px;margin:18px 0 0}
.tiles div{border-top:1px solid var(--line);padding-top:10px}.tiles dt{font-size:13px;color:var(--soft)}.tiles dd{margin:0;font-size:18px;font-weight:600;font-variant-numeric:tabular-nums}.tiles dd small{display:block;font-size:13px;font-weight:400;color:var(--soft)}
dl{margin:0}
.facts{display:grid;grid-template-columns:minmax(110px,max-content) 1fr;gap:7px 20px}.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere;min-width:0}
code{font:13.5px/1.5 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(340px,100%),1fr));gap:16px;margin:0 0 16px}.charts .card{margin:0}.charts svg{width:100%;max-width:520px}
.small{grid-template-columns:repeat(auto-fit,minmax(min(300px,100%),1fr))}.small h3{font:12.5px/1.4 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
figure{margin:0}figcaption{font-size:13.5px;color:var(--soft);margin-top:6px;overflow-wrap:anywhere}
.row{display:grid;grid-auto-flow:column;grid-auto-columns:minmax(220px,1fr);gap:14px;overflow-x:auto;padding-bottom:4px}
.picture{line-height:0}.picture svg{width:100%;height:auto;display:block;border-radius:6px}
.toggle{display:inline-flex;gap:8px;align-items:center;color:var(--ink);margin:0 0 14px;cursor:pointer}.toggle input{width:18px;height:18px;accent-color:var(--accent);margin:0}
.pictures:has(#boxes:not(:checked)) .boxes{display:none}
details{margin:0 0 16px}summary{cursor:pointer;padding:8px 0;font-weight:600}
footer{margin-top:48px;font-size:13.5px;color:var(--soft)}
@media (max-width:600px){.page{padding:20px 14px 40px}.card{padding:14px}.verdict{padding:18px}.tiles{grid-template-columns:1fr 1fr}.tiles dd small{overflow-wrap:anywhere}.facts{grid-template-columns:1fr;gap:2px}.facts dd{margin-bottom:10px}}
@media screen and (max-width:900px){th,td{padding:8px}.change{display:block;margin:0}}
@media screen and (max-width:640px){.broad{display:none}.narrow{display:block}}
@media screen and (max-width:600px){table{font-size:14.5px;line-height:22px}td small,th small{line-height:17px}.scroll tr>:first-child{position:sticky;left:0;min-width:134px;background:var(--paper);box-shadow:-14px 0 0 var(--paper)}.scroll tr.chosen>:first-child{background:var(--accent-soft);box-shadow:-14px 0 0 var(--accent-soft)}caption span{position:sticky;left:0;max-width:calc(100vw - 58px)}td.text{min-width:30ch}}
@page{size:A4;margin:14mm 12mm}
@media print{
:root{color-scheme:light;--ground:#fff}
body{font-size:10pt}.page{max-width:none;padding:0}nav,.skip,.toggle{display:none}
h1{font-size:19pt}h2{font-size:13pt;margin:18pt 0 6pt;break-after:avoid}h3,caption,summary,section>p{break-after:avoid}p{break-inside:avoid}
.card,.verdict{border-radius:0;padding:9pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}.scroll,.row{overflow:visible}
table{font-size:8.5pt}th,td{padding:3.5pt 5pt;white-space:normal;overflow-wrap:break-word}tr,thead,figure,.card,.verdict{break-inside:avoid}
thead{display:table-header-group}thead th,caption{font-size:8.5pt}td small,th small,.change,td.text{font-size:7.5pt}.change{margin-left:2pt}figcaption,.rule,.tiles dt,.tiles dd small{font-size:8.5pt}.verdict .answer{font-size:14pt;max-width:none}.tiles{grid-template-columns:repeat(auto-fit,minmax(30mm,1fr))}.tiles dd{font-size:12pt}td.text{min-width:26mm}
.charts{grid-template-columns:1fr 1fr;gap:8pt}.small{grid-template-columns:1fr 1fr 1fr}
.row{grid-auto-flow:row;grid-template-columns:repeat(auto-fit,minmax(38mm,1fr));grid-auto-columns:auto}
details::details-content{content-visibility:visible;height:auto;display:block}
}
`;
