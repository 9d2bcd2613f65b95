// Before the first paint, so no module: the theme that was chosen here before.
"use strict";
(() => {
    let theme = null;
    try {
        theme = localStorage.getItem("spoolgate-theme");
    } catch {
        // Storage is switched off: the system's theme it is.
    }
    if (theme === "light" || theme === "dark") {
        document.documentElement.dataset.theme = theme;
    }
})();
