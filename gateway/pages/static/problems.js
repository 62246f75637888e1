// The search of the problem index: shows the codes whose words, or whose vendors' codes, hold every word asked for.
"use strict";

(() => {
  const form = document.getElementById("search");
  const query = document.getElementById("query");
  const found = document.getElementById("found");
  const nothing = document.getElementById("nothing");
  const groups = [...document.querySelectorAll(".group")];
  const entries = [...document.querySelectorAll(".codes > li")].map((element) => ({
    element,
    words: element.dataset.words.toLowerCase(),
    became: element.querySelector(".became"),
    codes: [...element.querySelectorAll("[data-code]")].map((code) => ({
      element: code,
      words: code.dataset.code.toLowerCase(),
    })),
  }));

  const show = () => {
    const wanted = query.value.toLowerCase().split(/\s+/u).filter(Boolean);
    let count = 0;
    for (const entry of entries) {
      let some = false;
      for (const code of entry.codes) {
        const holds = wanted.length > 0 && wanted.every((word) => code.words.includes(word));
        code.element.hidden = !holds;
        some ||= holds;
      }
      const shown = some || wanted.every((word) => entry.words.includes(word));
      entry.became.hidden = !some;
      entry.element.hidden = !shown;
      count += shown ? 1 : 0;
    }
    for (const group of groups) {
      group.hidden = group.querySelector(".codes > li:not([hidden])") === null;
    }
    nothing.hidden = count > 0;
    found.textContent = count === 1 ? "1 code" : `${count} codes`;
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const first = document.querySelector(".codes > li:not([hidden]) > a");
    if (first) {
      first.focus();
    }
  });
  query.addEventListener("input", show);
  query.value = new URLSearchParams(location.search).get("q") ?? query.value;
  form.hidden = false;
  show();
})();
