// The server writes times in the zone of who reads them, from the next page on.
document.cookie = `zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/admin/; max-age=31536000; SameSite=Lax`;

// What the theme has people click though it is neither a link nor a button is reached and pressed by keyboard too.
const NAMES = {dock_to_right: "Menu", close: "Close"};

document.addEventListener("DOMContentLoaded", () => {
    for (const part of document.querySelectorAll("span[x-on\\:click], div[x-on\\:click], a[x-on\\:click]:not([href])")) {
        part.tabIndex = 0;
        part.setAttribute("role", "button");
        const name = NAMES[part.textContent.trim()];
        if (name) part.setAttribute("aria-label", name);
        part.addEventListener("keydown", (event) => {
            if (event.target === part && (event.key === "Enter" || event.key === " ")) {
                event.preventDefault();
                part.click();
            }
        });
    }
});

// The theme hides the page until its script has begun, and what is hidden can't be in focus.
document.addEventListener("alpine:initialized", () => {
    requestAnimationFrame(() => document.querySelector("[autofocus]")?.focus());
});
