// Before anything is drawn, so that a chosen theme never flickers.
try {
  const theme = localStorage.getItem("windlass-theme");
  if (theme === "light" || theme === "dark") document.documentElement.setAttribute("data-theme", theme);
} catch {
  // A browser that keeps nothing follows the system.
}
