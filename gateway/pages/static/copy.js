// A button that copies the text beside it.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  const words = button.textContent;
  button.addEventListener("click", async () => {
    const text = button.parentElement.querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Without HTTPS a browser has no clipboard for pages: the text is marked, and the keyboard copies it.
      getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
      button.textContent = "Marked";
    }
    setTimeout(() => {
      button.textContent = words;
    }, 2000);
  });
}
