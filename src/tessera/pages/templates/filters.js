"use strict";
const filters = [...document.querySelectorAll("[data-filter]")];
const cards = [...document.querySelectorAll("article[data-tag0]")];
function choose() {
  for (const card of cards)
    card.hidden = filters.some(f => f.value && card.dataset["tag" + f.dataset.filter] !== f.value);
  document.getElementById("told").textContent = `${cards.filter(card => !card.hidden).length} of ${cards.length} shown`;
}
for (const f of filters) f.onchange = choose;
choose();
