"use strict";(self.rspackChunk_icechunk_jupyterlab=self.rspackChunk_icechunk_jupyterlab||[]).push([[0],{17(i,e,o){var r=o(15),t=o.n(r),c=o(16),n=(o.n(c))()(t());n.push([i.id,`/* Shared by all views. Every rule is scoped; colours come from the front end's theme. */

.ick-root {
  --ick-bg: var(--jp-layout-color1, Canvas);
  --ick-fg: var(--jp-ui-font-color1, CanvasText);
  --ick-muted: color-mix(in srgb, var(--ick-fg) 74%, var(--ick-bg));
  --ick-line: color-mix(in srgb, var(--ick-fg) 15%, var(--ick-bg));
  --ick-edge: color-mix(in srgb, var(--ick-fg) 48%, var(--ick-bg));
  --ick-soft: color-mix(in srgb, var(--ick-fg) 5%, var(--ick-bg));
  --ick-hover: color-mix(in srgb, var(--ick-fg) 8%, var(--ick-bg));
  --ick-accent: #0b6cb3;
  --ick-chosen: color-mix(in srgb, var(--ick-accent) 13%, var(--ick-bg));
  --ick-added: #006b4e;
  --ick-removed: #a84300;
  --ick-changed: #855b00;
  --ick-moved: #0b6cb3;
  --ick-mono: var(--jp-code-font-family, ui-monospace, SFMono-Regular, Menlo, Consolas, monospace);

  background: var(--ick-bg);
  border: 1px solid var(--ick-line);
  border-radius: 6px;
  box-sizing: border-box;
  color: var(--ick-fg);
  container-type: inline-size;
  font-family: var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", sans-serif);
  font-size: 13px;
  line-height: 1.4;
  overflow: hidden;
  text-align: left;
}

.ick-root[data-ick-dark] {
  --ick-accent: #6cb6f0;
  --ick-chosen: color-mix(in srgb, var(--ick-accent) 20%, var(--ick-bg));
  --ick-added: #4fd1a5;
  --ick-removed: #ff9d5c;
  --ick-changed: #f2bd4a;
  --ick-moved: #6cb6f0;
}

.ick-root[data-ick-theme="light"] { --ick-bg: #ffffff; --ick-fg: #212121; }
.ick-root[data-ick-theme="dark"] { --ick-bg: #111111; --ick-fg: #e4e4e4; }

.ick-root *, .ick-root *::before, .ick-root *::after { box-sizing: border-box; }
.ick-root [hidden] { display: none !important; }
.ick-root h2, .ick-root h3, .ick-root h4, .ick-root p, .ick-root ul, .ick-root dl, .ick-root dd, .ick-root figure, .ick-root pre { margin: 0; padding: 0; }
.ick-root code, .ick-root pre { background: none; border: 0; color: inherit; font-family: var(--ick-mono); font-size: 12px; padding: 0; }
.ick-root i { color: var(--ick-muted); font-style: normal; }
.ick-root b { font-weight: 600; }

.ick-sr { clip-path: inset(50%); height: 1px; overflow: hidden; position: absolute; white-space: nowrap; width: 1px; }
.ick-grow { flex: 1; }
.ick-muted, .ick-counts, .ick-between, .ick-hint, .ick-nodedetail, .ick-caption, .ick-note, .ick-gridstatus { color: var(--ick-muted); }
.ick-hint { font-size: 12.5px; }
.ick-loading { padding: 4px 0; }

.ick-root :focus { outline: none; }
.ick-root :focus-visible { outline: 2px solid var(--ick-accent); outline-offset: 1px; }

/* Head */
.ick-head {
  align-items: baseline;
  border-bottom: 1px solid var(--ick-line);
  display: flex;
  flex-wrap: wrap;
  gap: 4px 12px;
  min-height: 44px;
  padding: 9px 14px;
}
.ick-root .ick-heading { color: inherit; font-size: 15px; font-weight: 600; letter-spacing: -0.005em; line-height: 24px; }
.ick-counts, .ick-between { font-size: 12.5px; min-width: 0; overflow: hidden; text-overflow: ellipsis; }
.ick-state { color: var(--ick-fg); font-weight: 600; }

/* Controls */
.ick-root .ick-button {
  align-items: center;
  background: var(--ick-bg);
  border: 1px solid var(--ick-edge);
  border-radius: 4px;
  color: var(--ick-fg);
  cursor: pointer;
  display: inline-flex;
  font: inherit;
  font-size: 12.5px;
  gap: 6px;
  justify-content: center;
  line-height: 18px;
  margin: 0;
  padding: 4px 11px;
  white-space: nowrap;
}
.ick-root .ick-button:hover:not(:disabled) { background: var(--ick-hover); }
.ick-root .ick-button:active:not(:disabled) { background: var(--ick-line); }
.ick-root .ick-button:disabled { border-color: var(--ick-line); color: color-mix(in srgb, var(--ick-fg) 48%, var(--ick-bg)); cursor: default; }
.ick-root .ick-quiet { background: transparent; border-color: var(--ick-line); }
.ick-root .ick-small { font-size: 12px; line-height: 16px; padding: 2px 8px; }
.ick-root .ick-primary { background: var(--ick-fg); border-color: transparent; color: var(--ick-bg); font-weight: 600; }
.ick-root .ick-primary:hover:not(:disabled) { background: color-mix(in srgb, var(--ick-fg) 84%, var(--ick-bg)); }
.ick-root .ick-primary:disabled { background: var(--ick-line); }
.ick-root .ick-link { background: none; border: 0; border-radius: 2px; color: var(--ick-accent); cursor: pointer; display: inline; font: inherit; font-family: var(--ick-mono); font-size: 12px; padding: 0; text-decoration: underline; text-underline-offset: 2px; }

.ick-root .ick-input, .ick-root .ick-select {
  background: var(--ick-bg);
  border: 1px solid var(--ick-edge);
  border-radius: 4px;
  box-shadow: none;
  color: var(--ick-fg);
  font: inherit;
  font-size: 12.5px;
  height: 28px;
  margin: 0;
  padding: 3px 8px;
}
.ick-root .ick-select { height: 24px; padding: 1px 4px; width: auto; }
.ick-root .ick-input::placeholder { color: var(--ick-muted); opacity: 1; }
.ick-root input[type="range"] { accent-color: var(--ick-accent); cursor: pointer; height: 16px; margin: 0; min-width: 60px; width: 100%; }
.ick-root input[type="checkbox"] { accent-color: var(--ick-accent); margin: 0; }
.ick-field { align-items: center; display: inline-flex; gap: 6px; }
.ick-field > span { color: var(--ick-muted); }
.ick-check { align-items: center; cursor: pointer; display: inline-flex; gap: 6px; }

/* Messages */
.ick-error { align-items: center; background: color-mix(in srgb, #d55e00 13%, var(--ick-bg)); border-bottom: 1px solid var(--ick-removed); display: flex; gap: 8px; padding: 8px 14px; }
.ick-error-text { flex: 1; overflow-wrap: anywhere; }
.ick-error-text strong { display: block; font-weight: 600; }
.ick-notice { background: color-mix(in srgb, #e69f00 15%, var(--ick-bg)); border-bottom: 1px solid var(--ick-line); padding: 8px 14px; }

/* A page without a kernel: what would change something is not there. */
.ick-savednote { border-top: 1px solid var(--ick-line); color: var(--ick-muted); font-size: 12px; padding: 6px 14px; }
.ick-saved :is(.ick-keep, .ick-bar-complete, .ick-head .ick-undo, .ick-decisionhead, .ick-tools, .ick-acts, .ick-more) { display: none !important; }

/* Changed nodes */
.ick-mark { flex: none; font-family: var(--ick-mono); font-size: 13px; font-weight: 700; text-align: center; width: 14px; }
.ick-mark-added { color: var(--ick-added); }
.ick-mark-removed { color: var(--ick-removed); }
.ick-mark-changed { color: var(--ick-changed); }
.ick-mark-moved { color: var(--ick-moved); }
.ick-path { display: flex; font-family: var(--ick-mono); font-size: 12.5px; min-width: 0; white-space: nowrap; }
.ick-folder { color: var(--ick-muted); flex: 0 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; }
.ick-leaf { flex: 0 0.001 auto; max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
.ick-nodedetail { font-size: 12px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ick-share { background: var(--ick-line); border-radius: 2px; flex: none; height: 4px; overflow: hidden; width: 44px; }
.ick-share-added { --ick-share: var(--ick-added); }
.ick-share-removed { --ick-share: var(--ick-removed); }
.ick-sharebar { background: var(--ick-share, var(--ick-changed)); display: block; height: 100%; }

/* Lists of choices */
.ick-option { align-items: center; border-left: 3px solid transparent; cursor: pointer; display: flex; gap: 8px; padding: 6px 10px 6px 9px; }
.ick-option:hover { background: var(--ick-hover); }
.ick-option[aria-selected="true"] { background: var(--ick-chosen); border-left-color: var(--ick-accent); }
.ick-optiontext { display: flex; flex: 1; flex-direction: column; min-width: 0; }
.ick-root [role="listbox"]:focus-visible { outline-offset: -2px; }

.ick-busy { opacity: 0.6; transition: opacity 0.15s 0.25s; }
@media (prefers-reduced-motion: reduce) { .ick-root * { transition: none !important; } }
@media (forced-colors: active) { .ick-swatch, .ick-sharebar, .ick-dot { forced-color-adjust: none; } }
`,""]),o.d(e,{},{A:n})},14(i,e,o){var r=o(15),t=o.n(r),c=o(16),n=o.n(c),a=o(17),d=o(18),s=n()(t());s.i(a.A),s.i(d.A),s.push([i.id,`.ick-panelhost { background: var(--jp-layout-color1); min-width: 220px; overflow: hidden; }
`,""]),o.d(e,{},{A:s})},18(i,e,o){var r=o(15),t=o.n(r),c=o(16),n=(o.n(c))()(t());n.push([i.id,`.ick-panel { border: 0; border-radius: 0; height: 100%; min-height: 0; overflow: auto; }
.ick-panel .ick-counts { white-space: nowrap; }
.ick-panel .ick-head { align-items: center; flex-wrap: nowrap; background: var(--ick-bg); position: sticky; top: 0; z-index: 1; }
.ick-repos > p { padding: 10px 14px 0; }
.ick-root .ick-snippet { background: var(--ick-soft); border: 1px solid var(--ick-line); border-radius: 4px; line-height: 1.5; margin: 8px 14px; overflow: auto; padding: 8px 10px; }
.ick-repo { border-bottom: 1px solid var(--ick-line); padding: 8px 14px 10px; }
.ick-repo summary { align-items: center; cursor: pointer; display: flex; gap: 8px; list-style: none; }
.ick-repo summary::-webkit-details-marker { display: none; }
.ick-repo summary::before { border: solid var(--ick-muted); border-width: 0 1.5px 1.5px 0; content: ""; flex: none; height: 6px; margin: 0 3px 0 1px; transform: rotate(-45deg); width: 6px; }
.ick-repo[open] summary::before { transform: translateY(-2px) rotate(45deg); }
.ick-reponame { flex: 1; font-family: var(--ick-mono); font-size: 13px; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ick-badge { background: color-mix(in srgb, #e69f00 22%, var(--ick-bg)); border-radius: 9px; font-size: 11.5px; line-height: 18px; padding: 0 8px; }
.ick-location { color: var(--ick-muted); font-size: 12px; overflow: hidden; padding-left: 18px; text-overflow: ellipsis; white-space: nowrap; }
.ick-root .ick-refs { list-style: none; margin-top: 6px; }
.ick-refrow { align-items: baseline; display: grid; gap: 0 7px; grid-template-columns: 11px minmax(0, 1fr) auto; padding: 2px 0; }
.ick-refrow .ick-refmark { --ick-ref: var(--ick-accent); font-size: 9px; text-align: center; }
.ick-tagrow .ick-refmark { --ick-ref: var(--ick-changed); }
.ick-refname { font-size: 12.5px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ick-current .ick-refname { font-weight: 600; }
.ick-root .ick-reftime { color: var(--ick-muted); font-size: 11.5px; font-variant-numeric: tabular-nums; }
.ick-refmessage { color: var(--ick-muted); font-size: 12px; grid-column: 2 / -1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ick-sessionline { margin-top: 6px !important; padding-left: 18px !important; }
.ick-refmark { color: var(--ick-ref); font-size: 8px; }

body[data-jp-theme-light="false"] .ick-panel {
  --ick-accent: #6cb6f0;
  --ick-changed: #f2bd4a;
}
`,""]),o.d(e,{},{A:n})},16(i){i.exports=function(i){var e=[];return e.toString=function(){return this.map(function(e){var o="",r=void 0!==e[5];return e[4]&&(o+="@supports (".concat(e[4],") {")),e[2]&&(o+="@media ".concat(e[2]," {")),r&&(o+="@layer".concat(e[5].length>0?" ".concat(e[5]):""," {")),o+=i(e),r&&(o+="}"),e[2]&&(o+="}"),e[4]&&(o+="}"),o}).join("")},e.i=function(i,o,r,t,c){"string"==typeof i&&(i=[[null,i,void 0]]);var n={};if(r)for(var a=0;a<this.length;a++){var d=this[a][0];null!=d&&(n[d]=!0)}for(var s=0;s<i.length;s++){var p=[].concat(i[s]);r&&n[p[0]]||(void 0!==c&&(void 0===p[5]||(p[1]="@layer".concat(p[5].length>0?" ".concat(p[5]):""," {").concat(p[1],"}")),p[5]=c),o&&(p[2]&&(p[1]="@media ".concat(p[2]," {").concat(p[1],"}")),p[2]=o),t&&(p[4]?(p[1]="@supports (".concat(p[4],") {").concat(p[1],"}"),p[4]=t):p[4]="".concat(t)),e.push(p))}},e}},15(i){i.exports=function(i){return i[1]}},7(i,e,o){o.r(e);var r=o(8),t=o.n(r),c=o(9),n=o.n(c),a=o(10),d=o.n(a),s=o(11),p=o.n(s),l=o(12),k=o.n(l),f=o(13),u=o.n(f),g=o(14),v={};v.styleTagTransform=u(),v.setAttributes=p(),v.insert=d().bind(null,"head"),v.domAPI=n(),v.insertStyleElement=k(),t()(g.A,v);let x=g.A&&g.A.locals?g.A.locals:void 0;o.d(e,{},{default:x})},8(i){var e=[];function o(i){for(var o=-1,r=0;r<e.length;r++)if(e[r].identifier===i){o=r;break}return o}function r(i,r){for(var t={},c=[],n=0;n<i.length;n++){var a=i[n],d=r.base?a[0]+r.base:a[0],s=t[d]||0,p="".concat(d," ").concat(s);t[d]=s+1;var l=o(p),k={css:a[1],media:a[2],sourceMap:a[3],supports:a[4],layer:a[5]};if(-1!==l)e[l].references++,e[l].updater(k);else{var f=function(i,e){var o=e.domAPI(e);return o.update(i),function(e){e?(e.css!==i.css||e.media!==i.media||e.sourceMap!==i.sourceMap||e.supports!==i.supports||e.layer!==i.layer)&&o.update(i=e):o.remove()}}(k,r);r.byIndex=n,e.splice(n,0,{identifier:p,updater:f,references:1})}c.push(p)}return c}i.exports=function(i,t){var c=r(i=i||[],t=t||{});return function(i){i=i||[];for(var n=0;n<c.length;n++){var a=o(c[n]);e[a].references--}for(var d=r(i,t),s=0;s<c.length;s++){var p=o(c[s]);0===e[p].references&&(e[p].updater(),e.splice(p,1))}c=d}}},10(i){var e={};i.exports=function(i,o){var r=function(i){if(void 0===e[i]){var o=document.querySelector(i);if(window.HTMLIFrameElement&&o instanceof window.HTMLIFrameElement)try{o=o.contentDocument.head}catch(i){o=null}e[i]=o}return e[i]}(i);if(!r)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");r.appendChild(o)}},12(i){i.exports=function(i){var e=document.createElement("style");return i.setAttributes(e,i.attributes),i.insert(e,i.options),e}},11(i,e,o){i.exports=function(i){var e=o.nc;e&&i.setAttribute("nonce",e)}},9(i){i.exports=function(i){if("u"<typeof document)return{update:function(){},remove:function(){}};var e=i.insertStyleElement(i);return{update:function(o){var r,t,c;r="",o.supports&&(r+="@supports (".concat(o.supports,") {")),o.media&&(r+="@media ".concat(o.media," {")),(t=void 0!==o.layer)&&(r+="@layer".concat(o.layer.length>0?" ".concat(o.layer):""," {")),r+=o.css,t&&(r+="}"),o.media&&(r+="}"),o.supports&&(r+="}"),(c=o.sourceMap)&&"u">typeof btoa&&(r+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(c))))," */")),i.styleTagTransform(r,e,i.options)},remove:function(){var i;null===(i=e).parentNode||i.parentNode.removeChild(i)}}}},13(i){i.exports=function(i,e){if(e.styleSheet)e.styleSheet.cssText=i;else{for(;e.firstChild;)e.removeChild(e.firstChild);e.appendChild(document.createTextNode(i))}}}}]);