// Keys ---------------------------------------------------------------------------------------------------------------

const typing = (target) => target.matches('textarea, select, input:not([type="checkbox"])');

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  r: () => giveMark("right"),
  w: () => giveMark("wrong"),
  u: undo,
  "/": () => { at("query").focus(); at("query").select(); },
  "?": () => at("help").showModal(),
};
// Keys of the list alone: elsewhere they scroll the page.
const LIST_KEYS = {
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  PageDown: () => move(8),
  PageUp: () => move(-8),
  Home: () => move(-state.shown.length),
  End: () => move(state.shown.length),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
  if (typing(event.target)) {
    if (event.key === "Escape" && event.target.id === "query") at("list").focus();
    return;
  }
  const inList = event.target === at("list") || event.target === document.body;
  const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
  const action = KEYS[event.key] || (inList && state.chosen >= 0 && LIST_KEYS[event.key])
    || (event.target === at("list") && LIST_KEYS[event.key]) || (digit === null ? null : () => markByDigit(digit));
  if (!action) return;
  event.preventDefault();
  action();
});
