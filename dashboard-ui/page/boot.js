// Starts the dashboard, and says so where it cannot be started.
const complain = (reason) => {
  const place = document.getElementById("loading-text") ?? document.body.appendChild(document.createElement("p"));
  place.setAttribute("role", "alert");
  place.textContent = `The dashboard could not be started: ${reason}. Reload the page; if that does not help, the browser may be too old, or something between it and the host may hold back WebAssembly.`;
};
// A page of which a part has broken must not look as if it were whole.
addEventListener("error", (event) => {
  if (event.error instanceof WebAssembly.RuntimeError) {
    const note = document.createElement("p");
    note.setAttribute("role", "alert");
    note.className = "broken";
    note.textContent = "The dashboard has broken and must be reloaded. The jobs are not touched by that.";
    document.body.prepend(note);
  }
});
try {
  const { default: start } = await import("./{{dashboard.js}}");
  await start({ module_or_path: new URL("./{{dashboard.wasm}}", import.meta.url) });
} catch (error) {
  complain(error?.message ?? String(error));
}
