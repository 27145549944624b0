// Answers a review through Airflow's own API, as whoever looks at the page: Airflow authorizes and writes its audit log.
(() => {
  "use strict";
  const PATIENCE = 30_000; // ms
  const SAID = {
    401: "Your session has ended, and nothing was decided. Log in to Airflow again, then decide.",
    403: "Airflow says that you may not answer this review, or no longer. Nothing was decided.",
    404: "This review is no longer there: its task was cleared, or the run deleted. Nothing was decided.",
    409: "Somebody else has decided meanwhile; that stands.",
  };
  const typed = new Map(); // what was typed, by what it is: another view brings fields anew

  function say(words) {
    document.getElementById("decide-note").textContent = words;
  }

  /** Return the names that were typed for the segments of the k that is shown, by their numbers. */
  function names() {
    const fields = [...document.querySelectorAll("[data-number]")].filter((field) => field.value.trim());
    return Object.fromEntries(fields.map((field) => [field.dataset.number, field.value]));
  }

  async function decide(button) {
    const card = button.closest("[data-answer]");
    const buttons = card.querySelectorAll("button");
    const reason = card.querySelector("[data-typed=reason]").value;
    buttons.forEach((each) => (each.disabled = true));
    say("Sending …");
    try {
      const response = await fetch(card.dataset.answer, {
        method: "PATCH",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          chosen_options: [button.dataset.decide],
          params_input: { k: Number(card.dataset.k), names: names(), reason },
        }),
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (response.ok) typed.clear();
      say(response.ok ? "" : SAID[response.status] ?? `Airflow refused it, with status ${response.status}. Nothing was decided.`);
      if (response.status !== 401) document.dispatchEvent(new Event("stale"));
    } catch {
      say("Airflow cannot be reached, or takes too long. If this review still waits in a minute, decide again.");
    }
    buttons.forEach((each) => (each.disabled = false));
  }

  document.addEventListener("input", ({ target }) => {
    if (target.dataset.typed) typed.set(target.dataset.typed, target.value);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-decide]");
    if (button) decide(button);
  });

  document.addEventListener("swapped", () => {
    for (const field of document.querySelectorAll("[data-typed]")) {
      if (typed.has(field.dataset.typed)) field.value = typed.get(field.dataset.typed);
    }
  });
})();
