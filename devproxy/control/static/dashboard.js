// Keeps the page as it would be after a reload: when devproxy says that something happened, the page is asked for
// again and its <main> takes the place of ours. What a page says is decided in one place, on the server.
"use strict";

(() => {
  const live = document.getElementById("live");
  let asking = false;
  let again = false;
  let lost = false;

  const show = (isLost) => {
    lost = isLost;
    live.hidden = false;
    live.className = isLost ? "lost" : "";
    live.textContent = isLost ? "devproxy does not answer" : "live";
  };

  const refresh = async () => {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    do {
      again = false;
      try {
        const response = await fetch("/", { headers: { Accept: "text/html" }, cache: "no-store" });
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        for (const part of ["main", "footer"]) {
          const [ours, theirs] = [document.querySelector(part), page.querySelector(part)];
          if (response.ok && ours && theirs && ours.innerHTML !== theirs.innerHTML) {
            ours.replaceWith(document.adoptNode(theirs));
          }
        }
      } catch {
        // The stream notices as well, and asks again by itself.
      }
    } while (again);
    asking = false;
  };

  // A wait that ends is not always an event.
  setInterval(() => document.querySelector(".waiting") && refresh(), 5000);

  const events = new EventSource("/api/events?after=" + document.querySelector("main").dataset.last);
  events.addEventListener("message", refresh);
  events.addEventListener("error", () => show(true));
  events.addEventListener("open", () => {
    // After a restart of devproxy its events are counted anew: look at once.
    if (lost) refresh();
    show(false);
  });
})();
