"use strict";
// Exercises: a number within 1 % or half a unit of the answer's last digit, else the same words.
function read(text) {
  let plain = text.trim().replace(/[\s\u202f\u00a0_']/g, "").replace("−", "-").replace(/%$/, "");
  plain = plain.replace(/,(?=\d{3}(?:\D|$))/g, "").replace(",", ".");
  const part = plain.match(/^([-+]?[\d.]+)\/([\d.]+)$/);
  if (part) return [part[1] / part[2], 0];
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain)) return null;
  const digits = (plain.split(/e/i)[0].split(".")[1] || "").length;
  return [Number(plain), digits];
}
function agrees(said, answer) {
  const ours = read(answer), theirs = read(said);
  if (ours && theirs) {
    const [wanted, digits] = ours, half = digits ? 0.5 * 10 ** -digits : 0;
    const near = (value) => Math.abs(value - wanted) <= Math.max(Math.abs(wanted) / 100, half) + 1e-12;
    const share = answer.includes("%") && !said.includes("%");  // 0.1 is 10 %
    return near(theirs[0]) || (share && near(100 * theirs[0]));
  }
  const words = (text) => text.toLowerCase().trim().replace(/[.!]+$/, "").split(/\s+/).filter(Boolean).join(" ");
  return words(said) === words(answer);
}
for (const form of document.querySelectorAll("form.check")) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const said = form.querySelector("input").value, output = form.querySelector("output");
    if (!said.trim()) { output.textContent = ""; output.className = ""; return; }
    const right = agrees(said, form.dataset.answer);
    output.textContent = right ? "✓ right" : "not yet";
    output.className = right ? "right" : "wrong";
  });
}
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const code = button.parentElement.querySelector("code");
    getSelection().selectAllChildren(code);
    const done = () => { button.textContent = "Copied"; };
    if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, () => {});
    else if (document.execCommand("copy")) done();
  });
}
// Paper cannot be unfolded; answers stay hidden, so that a printed sheet is still an exercise.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not(.answer):not([open])")];
  for (const part of opened) part.open = true;
});
addEventListener("afterprint", () => { for (const part of opened) part.open = false; });
