/* A point with data-image="n" shows image n of the sheet that its drawing names in data-sheet. */
(function () {
  var shown = document.createElement("div");
  shown.id = "shown";
  document.body.appendChild(shown);
  function show(event) {
    var point = event.target.closest ? event.target.closest("[data-image]") : null;
    if (!point) { shown.style.display = "none"; return; }
    var sheet = document.getElementById(point.closest("[data-sheet]").dataset.sheet);
    var side = Number(sheet.dataset.side), columns = Number(sheet.dataset.columns), n = Number(point.dataset.image);
    var scale = 84 / side;
    shown.style.backgroundImage = "url(" + sheet.src + ")";
    shown.style.backgroundSize = columns * side * scale + "px auto";
    shown.style.backgroundPosition = -(n % columns) * 84 + "px " + -Math.floor(n / columns) * 84 + "px";
    shown.style.left = Math.min(event.clientX + 12, window.innerWidth - 96) + "px";
    shown.style.top = Math.max(event.clientY - 96, 4) + "px";
    shown.style.display = "block";
  }
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
})();
