// Ticks the rules off while a new password is typed. The portal checks them all again.
"use strict";

(() => {
  const field = document.getElementById("new");
  const rules = Array.from(document.querySelectorAll("[data-rule]"));
  const summary = document.getElementById("rules-met");
  if (!field || rules.length === 0) return;

  const checks = {
    min: (text, bound) => Array.from(text).length >= bound,
    max: (text, bound) => Array.from(text).length <= bound,
    letter: (text) => /\p{L}/u.test(text),
    upper: (text) => /\p{Lu}/u.test(text),
    number: (text) => /\p{N}/u.test(text),
    special: (text) => /[\p{P}\p{S}\p{Zs}]/u.test(text),
  };

  const tick = () => {
    const text = field.value.normalize("NFC");
    let met = 0;
    for (const rule of rules) {
      const check = checks[rule.dataset.rule];
      const holds = text !== "" && check(text, Number(rule.dataset.bound));
      rule.classList.toggle("met", holds);
      if (holds) met += 1;
    }
    summary.textContent = text === "" ? "" : `${met} of ${rules.length} of these are met.`;
  };

  field.addEventListener("input", tick);
  tick();
})();
