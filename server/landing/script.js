"use strict";
const said = document.getElementById("said");
let quiet;
function say(text) {
  said.textContent = text;
  clearTimeout(quiet);
  quiet = setTimeout(() => { said.textContent = ""; }, 4000);
}
// Without https the clipboard has to be reached through the selection.
function copySelected(node) {
  const selection = getSelection();
  selection.removeAllRanges();
  const range = document.createRange();
  range.selectNodeContents(node);
  selection.addRange(range);
  return document.execCommand("copy");
}
for (const button of document.querySelectorAll(".copy button")) {
  const code = button.parentElement.querySelector("code");
  button.hidden = false;
  button.addEventListener("click", async () => {
    let done = false;
    try {
      await navigator.clipboard.writeText(code.textContent);
      done = true;
    } catch {
      done = copySelected(code);
    }
    say(done ? "Copied" : "Select the text and press Ctrl+C");
  });
}
