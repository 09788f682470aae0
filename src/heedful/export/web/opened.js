/* Browsers let a page read the files beside it only where a server gives them. */
if (location.protocol === "file:") {
  document.getElementById("status").classList.add("fault");
  document.getElementById("status").textContent =
    "A browser cannot run this page as a file. In its folder, run: python -m http.server 8000 --bind 127.0.0.1, " +
    "and open http://localhost:8000";
}
