// SPDX-License-Identifier: Apache-2.0
#include "sim/report_document.h"

#include "base/text.h"
#include "sim/chart.h"

namespace coppice {
namespace {

constexpr const char* kPageStyle = R"(
:root{--paper:#ffffff;--ink:#1a1f26;--muted:#565f6b;--grid:#e3e6ea;--tile:#f4f6f8;--alarm:#fff1e5;
  --alarm-edge:#c24a00}
@media screen and (prefers-color-scheme:dark){:root{--paper:#14181d;--ink:#e8ecf1;--muted:#a3adb9;
  --grid:#303841;--tile:#1d232a;--alarm:#3a2413;--alarm-edge:#ff992c}}
*{box-sizing:border-box}
html{color-scheme:light dark}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1280px;margin:0 auto;padding:24px 24px 64px}
h1{font-size:32px;line-height:1.2;margin:0 0 12px}
h2{font-size:22px;margin:48px 0 8px;padding-top:12px;border-top:1px solid var(--grid)}
h3{font-size:16px;margin:16px 0 0;display:none}
p{margin:0 0 12px;max-width:72ch}
.kind{color:var(--muted);margin:0}
code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
.identity{margin:0 0 16px}
.identity div{display:flex;flex-wrap:wrap;gap:0 12px}
.identity dt{color:var(--muted)}
.identity dd{margin:0}
.warning,.remark{border-left:6px solid var(--alarm-edge);background:var(--alarm);padding:12px 16px;
  margin:0 0 12px}
.warning strong{letter-spacing:.04em}
.warning ul{margin:0;padding-left:20px}
.warning p,.remark p{margin:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:12px;
  margin:12px 0 0}
.tiles div{background:var(--tile);border-radius:6px;padding:12px 14px;break-inside:avoid}
.tiles dt{color:var(--muted);font-size:14px}
.tiles dd{margin:0;font-size:24px;line-height:1.3;font-variant-numeric:tabular-nums}
.tiles small{display:block;font-size:13px;line-height:1.35;color:var(--muted)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(370px,100%),1fr));
  gap:24px 28px;margin:12px 0 20px}
figure{margin:0;min-width:0;break-inside:avoid}
figcaption{font-weight:600;margin:0 0 4px}
.note{color:var(--muted);font-size:14px;margin:2px 0 0}
.keys{margin:0;font-size:13px}
.key{white-space:nowrap;margin-right:10px}
.table{min-width:0;max-width:100%;margin:0 0 20px}
.wide{overflow-x:auto}
.caption{font-weight:600;margin:0 0 4px}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;font-weight:400;padding:5px 16px 5px 0;border-bottom:1px solid var(--grid);
  vertical-align:top;white-space:nowrap}
thead th{color:var(--muted)}
.number{text-align:right}
.beside{display:flex;flex-wrap:wrap;gap:0 56px}
.origin td,tbody th{white-space:normal}
.origin td{overflow-wrap:anywhere;min-width:12em}
.tabs input{position:absolute;opacity:0}
.tabs label{display:inline-block;padding:6px 14px;margin:0 6px 6px 0;border:1px solid var(--muted);
  border-radius:6px;cursor:pointer}
.tabs input:checked+label{background:var(--ink);color:var(--paper);border-color:var(--ink)}
.tabs input:focus-visible+label{outline:3px solid var(--c5);outline-offset:2px}
.panel{display:none}
#by-round:checked~.panel-round,#by-time:checked~.panel-time,
  #by-bytes:checked~.panel-bytes{display:block}
@media(max-width:560px){main{padding:16px 16px 48px}h1{font-size:26px}
  .tiles{grid-template-columns:1fr 1fr;gap:8px}.tiles dd{font-size:19px}}
@media print{main{max-width:none;padding:0}.panel,h3{display:block}
  .tabs input,.tabs label{display:none}.figures{grid-template-columns:1fr 1fr}
  .wide{overflow:visible}h2{break-after:avoid}}
)";

} // namespace

std::string report_document(std::string_view title, std::string_view body) {
  return cat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
      escape_markup(title), " \u2013 coppice simulation</title>\n<style>", kPageStyle,
      chart_style(), "</style>\n</head>\n<body>\n<main>\n", body, "</main>\n</body>\n</html>\n");
}

} // namespace coppice
