// Shows what was typed into a password field while its button is pressed in.
"use strict";

(() => {
  for (const button of document.querySelectorAll("button[data-shows]")) {
    const field = document.getElementById(button.dataset.shows);
    if (!(field instanceof HTMLInputElement) || field.type !== "password") continue;

    const show = (shown) => {
      field.type = shown ? "text" : "password";
      button.setAttribute("aria-pressed", String(shown));
    };

    button.addEventListener("click", () => {
      show(field.type === "password");
      field.focus();
    });
    field.form?.addEventListener("submit", () => show(false));
    window.addEventListener("pagehide", () => show(false));
    button.hidden = false;
  }
})();
