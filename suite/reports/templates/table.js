// Reports: tables of any length. The data is JSON in the page; only the rows in view are in the document.
// Texts reach the page through textContent alone, so nothing that a record says can become an element.
"use strict";
(() => {
  const SPARE_ROWS = 8; // drawn above and below what is in view, so that a slow scroll never shows a gap
  const MOST_COMPARED = 12;
  const MINUS = "\u2212", NOTHING = "\u2013", SPACE = "\u00a0";

  const fixed = (value, digits) => {
    const text = value.toFixed(digits);
    return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", MINUS);
  };
  const threeDigits = (value) => {
    if (value === 0) return "0";
    const rounded = Number(value.toPrecision(3));
    return rounded.toFixed(Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(Math.abs(rounded))))));
  };
  const SHOW = {
    text: (value) => String(value),
    percent: (value) => fixed(100 * value, 2) + SPACE + "%",
    points: (value) => (Number((100 * value).toFixed(2)) > 0 ? "+" : "") + fixed(100 * value, 2),
    number: (value) => (Number.isInteger(value) ? String(value).replace(/\B(?=(\d{3})+$)/g, SPACE) : fixed(value, 2)).replace("-", MINUS),
    bytes: (value) => {
      for (const unit of ["bytes", "kB", "MB", "GB"]) {
        if (value < 999.5 || unit === "GB") return (unit === "bytes" ? value.toFixed(0) : threeDigits(value)) + SPACE + unit;
        value /= 1000;
      }
    },
    seconds: (value) => (value < 60 ? threeDigits(value) + SPACE + "s" : `${Math.floor(value / 60)}${SPACE}min${SPACE}${Math.round(value % 60)}${SPACE}s`),
  };

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") element.textContent = value;
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };

  class Column {
    constructor(packed) {
      Object.assign(this, packed);
      this.numeric = this.kind !== "text";
      if (packed.shared) {
        this.values = [];
        for (let place = 0, before = ""; place < packed.shared.length; place += 2) {
          before = before.slice(0, packed.shared[place]) + packed.shared[place + 1];
          this.values.push(before);
        }
      }
    }
    at(row) { return this.codes ? this.distinct[this.codes[row]] : this.values[row]; }
    text(row) {
      const value = this.at(row);
      return value === null || value === "" ? NOTHING : SHOW[this.kind](value);
    }
    // For each row a number that sorts as its value does; empty cells are NaN and stay last.
    get keys() {
      if (this.sorted) return this.sorted;
      const count = this.codes ? this.codes.length : this.values.length;
      this.sorted = new Float64Array(count);
      if (this.numeric) {
        for (let row = 0; row < count; row++) { const value = this.at(row); this.sorted[row] = value === null ? NaN : value; }
        return this.sorted;
      }
      const collator = new Intl.Collator("en", { numeric: true });
      const words = this.distinct || [...new Set(this.values)];
      const rank = new Map([...words].sort(collator.compare).map((word, place) => [word, place]));
      for (let row = 0; row < count; row++) { const value = this.at(row); this.sorted[row] = value === null || value === "" ? NaN : rank.get(value); }
      return this.sorted;
    }
  }

  class DataTable {
    constructor(root, data) {
      this.root = root;
      this.name = root.dataset.table;
      this.count = data.rows;
      this.things = data.things;
      this.columns = data.columns.map((packed) => new Column(packed));
      this.byId = new Map(this.columns.map((column) => [column.id, column]));
      this.shown = this.columns.filter((column) => column.shown);
      this.rows = Uint32Array.from({ length: this.count }, (_, row) => row);
      this.filters = new Map();
      this.words = [];
      this.order = { column: null, down: false };
      this.selected = new Set();
      this.selectable = root.hasAttribute("data-selectable");
      this.drawn = [-1, -1];
      this.build();
    }

    build() {
      const form = make("form", { class: "filters", role: "search", "aria-label": `Filter the ${this.things}` });
      const search = make("input", { type: "search", placeholder: "words, in any order", autocomplete: "off", spellcheck: "false" });
      search.addEventListener("input", () => { this.words = search.value.toLowerCase().split(/\s+/).filter(Boolean); this.refresh(); });
      form.append(make("label", { class: "search" }, make("span", { text: "Search" }), search));
      for (const column of this.columns.filter((one) => one.filter === "first" && one.distinct.length > 1)) form.append(this.choice(column));
      const more = this.columns.filter((one) => one.filter === "more" && one.distinct.length > 1);
      if (more.length) {
        const fold = make("details", {}, make("summary", { text: `${more.length} more filters` }));
        fold.append(make("div", { class: "more" }, ...more.map((column) => this.choice(column))));
        form.append(fold);
      }
      const reset = make("button", { type: "reset", text: "Show all" });
      form.append(reset);
      form.addEventListener("submit", (event) => event.preventDefault());
      form.addEventListener("reset", () => { this.words = []; this.filters.clear(); this.refresh(); });

      this.status = make("p", { class: "count-line", role: "status" });
      this.head = make("tr");
      if (this.selectable) this.head.append(make("th", { scope: "col", class: "pick" }, make("span", { class: "hidden", text: "Compare" })));
      for (const column of this.shown) {
        const button = make("button", { type: "button", text: column.title });
        button.addEventListener("click", () => this.sort(column));
        column.header = make("th", { scope: "col", class: column.numeric ? "number" : false, "aria-sort": "none" }, button);
        this.head.append(column.header);
      }
      this.body = make("tbody");
      this.above = make("tr", { "aria-hidden": "true", class: "space" }, make("td", { colspan: this.shown.length + 1 }));
      this.below = this.above.cloneNode(true);
      const columns = make("colgroup");
      if (this.selectable) columns.append(make("col", { width: "40" }));
      for (const column of this.shown) columns.append(make("col", { width: String(this.width(column)) }));
      this.table = make("table", { class: "windowed", "aria-label": this.root.dataset.label, "aria-rowcount": String(this.count + 1) },
        columns, make("thead", {}, this.head), this.body);
      this.view = make("div", { class: "scroller view", role: "region", tabindex: "0", "aria-label": `${this.root.dataset.label}, scrollable` }, this.table);
      // A short table is no taller than its rows; its height must be said, because what is inside does not decide it.
      this.view.style.height = `min(70vh, 40rem, ${2.25 * this.count + 4}rem)`;
      this.view.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
      addEventListener("resize", () => this.draw(true));
      this.root.replaceChildren(form, this.status, this.view);
      this.refresh();
    }

    choice(column) {
      const select = make("select", {}, make("option", { value: "", text: "all" }));
      const counts = new Array(column.distinct.length).fill(0);
      for (const code of column.codes) counts[code]++;
      const order = column.distinct.map((_, code) => code);
      const collator = new Intl.Collator("en", { numeric: true });
      order.sort((one, other) => collator.compare(String(column.distinct[one] ?? ""), String(column.distinct[other] ?? "")));
      for (const code of order) {
        const value = column.distinct[code];
        select.append(make("option", { value: String(code), text: `${value === null || value === "" ? "none" : SHOW[column.kind](value)} (${counts[code]})` }));
      }
      select.addEventListener("change", () => {
        if (select.value === "") this.filters.delete(column); else this.filters.set(column, Number(select.value));
        this.refresh();
      });
      return make("label", {}, make("span", { text: column.title }), select);
    }

    width(column) {
      let longest = column.title.length + 3;
      const step = Math.max(1, Math.floor(this.count / 300));
      for (let row = 0; row < this.count; row += step) longest = Math.max(longest, column.text(row).length);
      return Math.round(Math.min(column === this.shown[0] ? 44 : 34, longest) * 7.6 + 24);
    }

    // The words of each row, joined once, when somebody first searches.
    get haystack() {
      if (!this.joined) {
        const searched = this.columns.filter((column) => !column.numeric);
        this.joined = Array.from({ length: this.count }, (_, row) => searched.map((column) => column.at(row)).join("\n").toLowerCase());
      }
      return this.joined;
    }

    refresh() {
      const filters = [...this.filters];
      const haystack = this.words.length ? this.haystack : null;
      const kept = [];
      for (let row = 0; row < this.count; row++) {
        if (filters.every(([column, code]) => column.codes[row] === code) && (!haystack || this.words.every((word) => haystack[row].includes(word)))) kept.push(row);
      }
      const { column, down } = this.order;
      if (column) {
        const keys = column.keys, sign = down ? -1 : 1;
        kept.sort((one, other) => {
          const first = keys[one], second = keys[other];
          if (first === second || (first !== first && second !== second)) return one - other;
          if (first !== first) return 1;
          if (second !== second) return -1;
          return sign * (first - second);
        });
      }
      this.rows = kept;
      const things = this.count === 1 ? this.things.replace(/s$/, "") : this.things;
      this.status.textContent = kept.length === this.count ? `${SHOW.number(this.count)} ${things}` : `${SHOW.number(kept.length)} of ${SHOW.number(this.count)} ${things}`;
      this.table.setAttribute("aria-rowcount", String(kept.length + 1));
      this.view.scrollTop = 0;
      this.draw(true);
    }

    sort(column) {
      const same = this.order.column === column;
      if (same && this.order.down !== column.numeric) this.order = { column: null, down: false };
      else this.order = { column, down: same ? !this.order.down : column.numeric };
      for (const one of this.shown) one.header.setAttribute("aria-sort", one !== this.order.column ? "none" : this.order.down ? "descending" : "ascending");
      this.refresh();
    }

    draw(anew = false) {
      const height = this.rowHeight || 36;
      const top = Math.max(0, this.view.scrollTop), room = this.view.clientHeight || 600;
      const first = Math.max(0, Math.floor(top / height) - SPARE_ROWS);
      const last = Math.min(this.rows.length, Math.ceil((top + room) / height) + SPARE_ROWS);
      if (!anew && first === this.drawn[0] && last === this.drawn[1]) return;
      const focused = document.activeElement && this.body.contains(document.activeElement) ? document.activeElement.dataset.row : null;
      const lines = [];
      for (let place = first; place < last; place++) lines.push(this.line(this.rows[place], place));
      this.above.firstChild.style.height = `${first * height}px`;
      this.below.firstChild.style.height = `${(this.rows.length - last) * height}px`;
      this.body.replaceChildren(this.above, ...lines, this.below);
      this.drawn = [first, last];
      if (!this.rowHeight && lines.length) {
        this.rowHeight = lines[0].getBoundingClientRect().height || undefined;
        if (this.rowHeight && this.rowHeight !== height) this.draw(true);
      }
      if (focused !== null) this.body.querySelector(`[data-row="${focused}"]`)?.focus({ preventScroll: true });
    }

    line(row, place) {
      const line = make("tr", { "aria-rowindex": String(place + 2), class: this.selected.has(row) ? "picked" : false });
      if (this.selectable) {
        const box = make("input", { type: "checkbox", "data-row": String(row), "aria-label": `Compare ${this.shown[0].text(row)}` });
        box.checked = this.selected.has(row);
        box.addEventListener("change", () => {
          if (box.checked) this.selected.add(row); else this.selected.delete(row);
          line.classList.toggle("picked", box.checked);
          this.root.dispatchEvent(new Event("selected"));
        });
        line.append(make("td", { class: "pick" }, box));
      }
      this.shown.forEach((column, index) => {
        const text = column.text(row), address = column.link ? this.byId.get(column.link).at(row) : "";
        const cell = make(index ? "td" : "th", { scope: index ? false : "row", class: column.numeric ? "number" : false, title: column.numeric ? false : text });
        cell.append(address ? make("a", { href: address, text }) : text);
        line.append(cell);
      });
      return line;
    }
  }

  // What differs between chosen runs, at a glance: axes down, runs across, the cells that are not what most say marked.
  class Differences {
    constructor(root, table) {
      this.root = root;
      this.table = table;
      for (let row = 0; row < Math.min(4, table.count); row++) table.selected.add(row);
      table.draw(true);
      table.root.addEventListener("selected", () => this.draw());
      this.draw();
    }

    draw() {
      const { table } = this;
      const all = [...table.selected], rows = all.slice(0, MOST_COMPARED);
      const clear = make("button", { type: "button", text: "Choose none" });
      clear.addEventListener("click", () => { table.selected.clear(); table.draw(true); this.draw(); });
      if (rows.length < 2) {
        this.root.replaceChildren(make("p", { class: "note", text: "Tick two or more runs in the table to see in which axes they differ." }));
        return;
      }
      const compared = table.columns.filter((column) => column.filter || column.id === "options" || column.id === "seed");
      const differing = compared.filter((column) => new Set(rows.map((row) => column.at(row))).size > 1);
      const head = make("tr", {}, make("th", { scope: "col", text: "Axis" }), ...rows.map((row) => make("th", { scope: "col", text: table.shown[0].text(row) })));
      const body = make("tbody");
      for (const column of differing) {
        const values = rows.map((row) => column.at(row));
        const counts = new Map();
        for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
        const most = [...counts].sort((one, other) => other[1] - one[1]);
        const reference = most.length > 1 && most[0][1] === most[1][1] ? values[0] : most[0][0];
        body.append(make("tr", {}, make("th", { scope: "row" }, make("code", { text: column.title })),
          ...rows.map((row, place) => make("td", { class: values[place] === reference ? false : "other", text: column.text(row) }))));
      }
      const score = table.byId.get("score");
      if (score) body.append(make("tr", { class: "total" }, make("th", { scope: "row", text: score.title }), ...rows.map((row) => make("td", { text: score.text(row) }))));
      const grid = make("div", { class: "scroller", role: "region", tabindex: "0", "aria-label": "Axes in which the chosen runs differ" },
        make("table", { class: "differences" }, make("thead", {}, head), body));
      const commands = table.byId.get("command");
      const list = make("dl", { class: "pairs" }, ...rows.map((row) => make("div", {}, make("dt", { text: table.shown[0].text(row) }), make("dd", {}, make("code", { text: commands ? commands.text(row) : "" })))));
      const same = compared.length - differing.length;
      const left = all.length - rows.length;
      this.root.replaceChildren(
        make("p", { class: "note", text: `${rows.length} runs${left ? ` (${left} more are chosen than fit)` : ""}: ${differing.length} of ${compared.length} differ, ${same} are the same. Every axis not named here is the same in all runs of this page. Marked cells differ from what most say, or from the first where there is no majority.` }),
        grid, clear, make("details", { class: "fold" }, make("summary", { text: "How to get these runs again" }), list));
    }
  }

  for (const root of document.querySelectorAll("[data-table]")) {
    const data = JSON.parse(document.getElementById(root.dataset.from).textContent)[root.dataset.table];
    const table = new DataTable(root, data);
    const grid = document.querySelector(`[data-differences="${root.dataset.table}"]`);
    if (grid) new Differences(grid, table);
  }
})();
