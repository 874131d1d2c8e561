"use strict";(self.rspackChunk_icechunk_jupyterlab=self.rspackChunk_icechunk_jupyterlab||[]).push([[0],{17(e,c,n){var i=n(15),o=n.n(i),r=n(16),t=(n.n(r))()(o());t.push([e.id,`/* Shared by all views. Every rule is scoped; colours come from the front end's theme. */

.icechunk-root {
  --icechunk-bg: var(--jp-layout-color1, Canvas);
  --icechunk-fg: var(--jp-ui-font-color1, CanvasText);
  --icechunk-muted: color-mix(in srgb, var(--icechunk-fg) 74%, var(--icechunk-bg));
  --icechunk-line: color-mix(in srgb, var(--icechunk-fg) 15%, var(--icechunk-bg));
  --icechunk-edge: color-mix(in srgb, var(--icechunk-fg) 48%, var(--icechunk-bg));
  --icechunk-soft: color-mix(in srgb, var(--icechunk-fg) 5%, var(--icechunk-bg));
  --icechunk-hover: color-mix(in srgb, var(--icechunk-fg) 8%, var(--icechunk-bg));
  --icechunk-accent: #0b6cb3;
  --icechunk-chosen: color-mix(in srgb, var(--icechunk-accent) 13%, var(--icechunk-bg));
  --icechunk-added: #006b4e;
  --icechunk-removed: #a84300;
  --icechunk-changed: #855b00;
  --icechunk-moved: #0b6cb3;
  --icechunk-mono: var(--jp-code-font-family, ui-monospace, SFMono-Regular, Menlo, Consolas, monospace);

  background: var(--icechunk-bg);
  border: 1px solid var(--icechunk-line);
  border-radius: 6px;
  box-sizing: border-box;
  color: var(--icechunk-fg);
  container-type: inline-size;
  font-family: var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", sans-serif);
  font-size: 13px;
  line-height: 1.4;
  overflow: hidden;
  text-align: left;
}

.icechunk-root[data-icechunk-dark] {
  --icechunk-accent: #6cb6f0;
  --icechunk-chosen: color-mix(in srgb, var(--icechunk-accent) 20%, var(--icechunk-bg));
  --icechunk-added: #4fd1a5;
  --icechunk-removed: #ff9d5c;
  --icechunk-changed: #f2bd4a;
  --icechunk-moved: #6cb6f0;
}

.icechunk-root[data-icechunk-theme="light"] { --icechunk-bg: #ffffff; --icechunk-fg: #212121; }
.icechunk-root[data-icechunk-theme="dark"] { --icechunk-bg: #111111; --icechunk-fg: #e4e4e4; }

.icechunk-root *, .icechunk-root *::before, .icechunk-root *::after { box-sizing: border-box; }
.icechunk-root [hidden] { display: none !important; }
.icechunk-root h2, .icechunk-root h3, .icechunk-root h4, .icechunk-root p, .icechunk-root ul, .icechunk-root dl, .icechunk-root dd, .icechunk-root figure, .icechunk-root pre { margin: 0; padding: 0; }
.icechunk-root code, .icechunk-root pre { background: none; border: 0; color: inherit; font-family: var(--icechunk-mono); font-size: 12px; padding: 0; }
.icechunk-root i { color: var(--icechunk-muted); font-style: normal; }
.icechunk-root b { font-weight: 600; }

.icechunk-sr { clip-path: inset(50%); height: 1px; overflow: hidden; position: absolute; white-space: nowrap; width: 1px; }
.icechunk-grow { flex: 1; }
.icechunk-muted, .icechunk-counts, .icechunk-between, .icechunk-hint, .icechunk-nodedetail, .icechunk-caption, .icechunk-note, .icechunk-gridstatus { color: var(--icechunk-muted); }
.icechunk-hint { font-size: 12.5px; }
.icechunk-loading { padding: 4px 0; }

.icechunk-root :focus { outline: none; }
.icechunk-root :focus-visible { outline: 2px solid var(--icechunk-accent); outline-offset: 1px; }

/* Head */
.icechunk-head {
  align-items: baseline;
  border-bottom: 1px solid var(--icechunk-line);
  display: flex;
  flex-wrap: wrap;
  gap: 4px 12px;
  min-height: 44px;
  padding: 9px 14px;
}
.icechunk-root .icechunk-heading { color: inherit; font-size: 15px; font-weight: 600; letter-spacing: -0.005em; line-height: 24px; }
.icechunk-counts, .icechunk-between { font-size: 12.5px; min-width: 0; overflow: hidden; text-overflow: ellipsis; }
.icechunk-state { color: var(--icechunk-fg); font-weight: 600; }

/* Controls */
.icechunk-root .icechunk-button {
  align-items: center;
  background: var(--icechunk-bg);
  border: 1px solid var(--icechunk-edge);
  border-radius: 4px;
  color: var(--icechunk-fg);
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
.icechunk-root .icechunk-button:hover:not(:disabled) { background: var(--icechunk-hover); }
.icechunk-root .icechunk-button:active:not(:disabled) { background: var(--icechunk-line); }
.icechunk-root .icechunk-button:disabled { border-color: var(--icechunk-line); color: color-mix(in srgb, var(--icechunk-fg) 48%, var(--icechunk-bg)); cursor: default; }
.icechunk-root .icechunk-quiet { background: transparent; border-color: var(--icechunk-line); }
.icechunk-root .icechunk-small { font-size: 12px; line-height: 16px; padding: 2px 8px; }
.icechunk-root .icechunk-primary { background: var(--icechunk-fg); border-color: transparent; color: var(--icechunk-bg); font-weight: 600; }
.icechunk-root .icechunk-primary:hover:not(:disabled) { background: color-mix(in srgb, var(--icechunk-fg) 84%, var(--icechunk-bg)); }
.icechunk-root .icechunk-primary:disabled { background: var(--icechunk-line); }
.icechunk-root .icechunk-link { background: none; border: 0; border-radius: 2px; color: var(--icechunk-accent); cursor: pointer; display: inline; font: inherit; font-family: var(--icechunk-mono); font-size: 12px; padding: 0; text-decoration: underline; text-underline-offset: 2px; }

.icechunk-root .icechunk-input, .icechunk-root .icechunk-select {
  background: var(--icechunk-bg);
  border: 1px solid var(--icechunk-edge);
  border-radius: 4px;
  box-shadow: none;
  color: var(--icechunk-fg);
  font: inherit;
  font-size: 12.5px;
  height: 28px;
  margin: 0;
  padding: 3px 8px;
}
.icechunk-root .icechunk-select { height: 24px; padding: 1px 4px; width: auto; }
.icechunk-root .icechunk-input::placeholder { color: var(--icechunk-muted); opacity: 1; }
.icechunk-root input[type="range"] { accent-color: var(--icechunk-accent); cursor: pointer; height: 16px; margin: 0; min-width: 60px; width: 100%; }
.icechunk-root input[type="checkbox"] { accent-color: var(--icechunk-accent); margin: 0; }
.icechunk-field { align-items: center; display: inline-flex; gap: 6px; }
.icechunk-field > span { color: var(--icechunk-muted); }
.icechunk-check { align-items: center; cursor: pointer; display: inline-flex; gap: 6px; }

/* Messages */
.icechunk-error { align-items: center; background: color-mix(in srgb, #d55e00 13%, var(--icechunk-bg)); border-bottom: 1px solid var(--icechunk-removed); display: flex; gap: 8px; padding: 8px 14px; }
.icechunk-error-text { flex: 1; overflow-wrap: anywhere; }
.icechunk-error-text strong { display: block; font-weight: 600; }
.icechunk-notice { background: color-mix(in srgb, #e69f00 15%, var(--icechunk-bg)); border-bottom: 1px solid var(--icechunk-line); padding: 8px 14px; }

/* A page without a kernel: what would change something is not there. */
.icechunk-savednote { border-top: 1px solid var(--icechunk-line); color: var(--icechunk-muted); font-size: 12px; padding: 6px 14px; }
.icechunk-saved :is(.icechunk-keep, .icechunk-bar-complete, .icechunk-head .icechunk-undo, .icechunk-decisionhead, .icechunk-tools, .icechunk-acts, .icechunk-more) { display: none !important; }

/* Changed nodes */
.icechunk-mark { flex: none; font-family: var(--icechunk-mono); font-size: 13px; font-weight: 700; text-align: center; width: 14px; }
.icechunk-mark-added { color: var(--icechunk-added); }
.icechunk-mark-removed { color: var(--icechunk-removed); }
.icechunk-mark-changed { color: var(--icechunk-changed); }
.icechunk-mark-moved { color: var(--icechunk-moved); }
.icechunk-path { display: flex; font-family: var(--icechunk-mono); font-size: 12.5px; min-width: 0; white-space: nowrap; }
.icechunk-folder { color: var(--icechunk-muted); flex: 0 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; }
.icechunk-leaf { flex: 0 0.001 auto; max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
.icechunk-nodedetail { font-size: 12px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.icechunk-share { background: var(--icechunk-line); border-radius: 2px; flex: none; height: 4px; overflow: hidden; width: 44px; }
.icechunk-share-added { --icechunk-share: var(--icechunk-added); }
.icechunk-share-removed { --icechunk-share: var(--icechunk-removed); }
.icechunk-sharebar { background: var(--icechunk-share, var(--icechunk-changed)); display: block; height: 100%; }

/* Refs */
.icechunk-refmark { color: var(--icechunk-ref); font-size: 8px; }

/* Lists of choices */
.icechunk-option { align-items: center; border-left: 3px solid transparent; cursor: pointer; display: flex; gap: 8px; padding: 6px 10px 6px 9px; }
.icechunk-option:hover { background: var(--icechunk-hover); }
.icechunk-option[aria-selected="true"] { background: var(--icechunk-chosen); border-left-color: var(--icechunk-accent); }
.icechunk-optiontext { display: flex; flex: 1; flex-direction: column; min-width: 0; }
.icechunk-root [role="listbox"]:focus-visible { outline-offset: -2px; }

.icechunk-busy { opacity: 0.6; transition: opacity 0.15s 0.25s; }
@media (prefers-reduced-motion: reduce) { .icechunk-root * { transition: none !important; } }
@media (forced-colors: active) { .icechunk-swatch, .icechunk-sharebar, .icechunk-dot { forced-color-adjust: none; } }
`,""]),n.d(c,{},{A:t})},14(e,c,n){var i=n(15),o=n.n(i),r=n(16),t=n.n(r),a=n(17),u=n(18),h=t()(o());h.i(a.A),h.i(u.A),h.push([e.id,`.icechunk-panelhost { background: var(--jp-layout-color1); min-width: 220px; overflow: hidden; }
`,""]),n.d(c,{},{A:h})},18(e,c,n){var i=n(15),o=n.n(i),r=n(16),t=(n.n(r))()(o());t.push([e.id,`.icechunk-panel { border: 0; border-radius: 0; height: 100%; min-height: 0; overflow: auto; }
.icechunk-panel .icechunk-counts { white-space: nowrap; }
.icechunk-panel .icechunk-head { align-items: center; flex-wrap: nowrap; background: var(--icechunk-bg); position: sticky; top: 0; z-index: 1; }
.icechunk-repos > p { padding: 10px 14px 0; }
.icechunk-root .icechunk-snippet { background: var(--icechunk-soft); border: 1px solid var(--icechunk-line); border-radius: 4px; line-height: 1.5; margin: 8px 14px; overflow: auto; padding: 8px 10px; }
.icechunk-repo { border-bottom: 1px solid var(--icechunk-line); padding: 8px 14px 10px; }
.icechunk-repo summary { align-items: center; cursor: pointer; display: flex; gap: 8px; list-style: none; }
.icechunk-repo summary::-webkit-details-marker { display: none; }
.icechunk-repo summary::before { border: solid var(--icechunk-muted); border-width: 0 1.5px 1.5px 0; content: ""; flex: none; height: 6px; margin: 0 3px 0 1px; transform: rotate(-45deg); width: 6px; }
.icechunk-repo[open] summary::before { transform: translateY(-2px) rotate(45deg); }
.icechunk-reponame { flex: 1; font-family: var(--icechunk-mono); font-size: 13px; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.icechunk-badge { background: color-mix(in srgb, #e69f00 22%, var(--icechunk-bg)); border-radius: 9px; font-size: 11.5px; line-height: 18px; padding: 0 8px; }
.icechunk-location { color: var(--icechunk-muted); font-size: 12px; overflow: hidden; padding-left: 18px; text-overflow: ellipsis; white-space: nowrap; }
.icechunk-root .icechunk-refs { list-style: none; margin-top: 6px; }
.icechunk-refrow { align-items: baseline; display: grid; gap: 0 7px; grid-template-columns: 11px minmax(0, 1fr) auto; padding: 2px 0; }
.icechunk-refrow .icechunk-refmark { --icechunk-ref: var(--icechunk-accent); font-size: 9px; text-align: center; }
.icechunk-tagrow .icechunk-refmark { --icechunk-ref: var(--icechunk-changed); }
.icechunk-refname { font-size: 12.5px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.icechunk-current .icechunk-refname { font-weight: 600; }
.icechunk-root .icechunk-reftime { color: var(--icechunk-muted); font-size: 11.5px; font-variant-numeric: tabular-nums; }
.icechunk-refmessage { color: var(--icechunk-muted); font-size: 12px; grid-column: 2 / -1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.icechunk-sessionline { margin-top: 6px !important; padding-left: 18px !important; }

body[data-jp-theme-light="false"] .icechunk-panel {
  --icechunk-accent: #6cb6f0;
  --icechunk-changed: #f2bd4a;
}
`,""]),n.d(c,{},{A:t})},16(e){e.exports=function(e){var c=[];return c.toString=function(){return this.map(function(c){var n="",i=void 0!==c[5];return c[4]&&(n+="@supports (".concat(c[4],") {")),c[2]&&(n+="@media ".concat(c[2]," {")),i&&(n+="@layer".concat(c[5].length>0?" ".concat(c[5]):""," {")),n+=e(c),i&&(n+="}"),c[2]&&(n+="}"),c[4]&&(n+="}"),n}).join("")},c.i=function(e,n,i,o,r){"string"==typeof e&&(e=[[null,e,void 0]]);var t={};if(i)for(var a=0;a<this.length;a++){var u=this[a][0];null!=u&&(t[u]=!0)}for(var h=0;h<e.length;h++){var d=[].concat(e[h]);i&&t[d[0]]||(void 0!==r&&(void 0===d[5]||(d[1]="@layer".concat(d[5].length>0?" ".concat(d[5]):""," {").concat(d[1],"}")),d[5]=r),n&&(d[2]&&(d[1]="@media ".concat(d[2]," {").concat(d[1],"}")),d[2]=n),o&&(d[4]?(d[1]="@supports (".concat(d[4],") {").concat(d[1],"}"),d[4]=o):d[4]="".concat(o)),c.push(d))}},c}},15(e){e.exports=function(e){return e[1]}},7(e,c,n){n.r(c);var i=n(8),o=n.n(i),r=n(9),t=n.n(r),a=n(10),u=n.n(a),h=n(11),d=n.n(h),s=n(12),p=n.n(s),l=n(13),k=n.n(l),f=n(14),g={};g.styleTagTransform=k(),g.setAttributes=d(),g.insert=u().bind(null,"head"),g.domAPI=t(),g.insertStyleElement=p(),o()(f.A,g);let v=f.A&&f.A.locals?f.A.locals:void 0;n.d(c,{},{default:v})},8(e){var c=[];function n(e){for(var n=-1,i=0;i<c.length;i++)if(c[i].identifier===e){n=i;break}return n}function i(e,i){for(var o={},r=[],t=0;t<e.length;t++){var a=e[t],u=i.base?a[0]+i.base:a[0],h=o[u]||0,d="".concat(u," ").concat(h);o[u]=h+1;var s=n(d),p={css:a[1],media:a[2],sourceMap:a[3],supports:a[4],layer:a[5]};if(-1!==s)c[s].references++,c[s].updater(p);else{var l=function(e,c){var n=c.domAPI(c);return n.update(e),function(c){c?(c.css!==e.css||c.media!==e.media||c.sourceMap!==e.sourceMap||c.supports!==e.supports||c.layer!==e.layer)&&n.update(e=c):n.remove()}}(p,i);i.byIndex=t,c.splice(t,0,{identifier:d,updater:l,references:1})}r.push(d)}return r}e.exports=function(e,o){var r=i(e=e||[],o=o||{});return function(e){e=e||[];for(var t=0;t<r.length;t++){var a=n(r[t]);c[a].references--}for(var u=i(e,o),h=0;h<r.length;h++){var d=n(r[h]);0===c[d].references&&(c[d].updater(),c.splice(d,1))}r=u}}},10(e){var c={};e.exports=function(e,n){var i=function(e){if(void 0===c[e]){var n=document.querySelector(e);if(window.HTMLIFrameElement&&n instanceof window.HTMLIFrameElement)try{n=n.contentDocument.head}catch(e){n=null}c[e]=n}return c[e]}(e);if(!i)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");i.appendChild(n)}},12(e){e.exports=function(e){var c=document.createElement("style");return e.setAttributes(c,e.attributes),e.insert(c,e.options),c}},11(e,c,n){e.exports=function(e){var c=n.nc;c&&e.setAttribute("nonce",c)}},9(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var c=e.insertStyleElement(e);return{update:function(n){var i,o,r;i="",n.supports&&(i+="@supports (".concat(n.supports,") {")),n.media&&(i+="@media ".concat(n.media," {")),(o=void 0!==n.layer)&&(i+="@layer".concat(n.layer.length>0?" ".concat(n.layer):""," {")),i+=n.css,o&&(i+="}"),n.media&&(i+="}"),n.supports&&(i+="}"),(r=n.sourceMap)&&"u">typeof btoa&&(i+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(r))))," */")),e.styleTagTransform(i,c,e.options)},remove:function(){var e;null===(e=c).parentNode||e.parentNode.removeChild(e)}}}},13(e){e.exports=function(e,c){if(c.styleSheet)c.styleSheet.cssText=e;else{for(;c.firstChild;)c.removeChild(c.firstChild);c.appendChild(document.createTextNode(e))}}}}]);