"use strict";

// Swagger UI is dark where its page has this class.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUIBundle({ dom_id: "#ui", url: "/openapi.json", deepLinking: true, tryItOutEnabled: true });
