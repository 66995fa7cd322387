"use strict";

// Swagger UI's own stylesheet is dark under html.dark-mode, but only its topbar sets that class, and we show none.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

// The document's paths are sorted by name. These operations come first under their tag, as a reader needs them first.
const first = ["placeOrder", "getOrder", "listOrders", "cancelOrder", "refundOrder"];
const place = (operation) => {
  const at = first.indexOf(operation.getIn(["operation", "operationId"]));
  return at < 0 ? first.length : at;
};

// SwaggerUIBundle is the global of swagger-ui-bundle.js, which index.html loads first.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  // BaseLayout has no topbar: its box would load any description a reader is talked into pasting.
  layout: "BaseLayout",
  docExpansion: "list",
  operationsSorter: (a, b) => place(a) - place(b),
  deepLinking: true,
  // Schemas are listed but closed, or they would bury the operations.
  defaultModelsExpandDepth: 0,
  // Bounds and patterns belong to the contract, and they are hidden by default.
  showCommonExtensions: true,
  displayRequestDuration: true,
  // The default sends the description to validator.swagger.io.
  validatorUrl: null,
  // A key typed into "Authorize" lives as long as the page and never reaches localStorage.
  persistAuthorization: false,
});
