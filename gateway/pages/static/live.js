// The live page: asks for the numbers once a second and writes them into the places that the page has for them.
// Nothing is added that the page did not leave room for, so nothing moves while somebody reads.
"use strict";

(() => {
  const POLL_MS = 1000;
  const WINDOW_MS = 60_000;
  const RATE_MS = 10_000;
  const TICK_MS = 250;
  const KEPT = 1000;
  const SHOWN = 100;
  const SPARKS = 60;
  const CODES = 4;

  const FAULT_OF = { caller_fault: "caller", operator_fault: "operator", vendor_fault: "vendor", ok: "ok", refused: "refused", aborted: "gone", caller_gone: "gone" };
  const SHARES = ["ok", "caller", "operator", "vendor", "refused", "gone"];

  const numbers = new Intl.NumberFormat("en");
  const $ = (selector, within = document) => within.querySelector(selector);

  const state = {
    after: 0,
    epoch: null,
    seen: [],
    failures: [],
    paused: false,
    answeredAt: 0,
    now: null,
    shape: null,
    named: new Set(),
  };

  // Numbers, as a person reads them.

  const count = (value) => numbers.format(value);

  const rate = (value) => (value >= 100 ? count(Math.round(value)) : value.toFixed(1));

  const share = (part, whole) => {
    if (!whole) {
      return "–";
    }
    if (!part || part === whole) {
      return part ? "100 %" : "0 %";
    }
    const percent = (part / whole) * 100;
    if (percent < 0.1) {
      return "< 0.1 %";
    }
    return percent > 99.9 ? "> 99.9 %" : `${percent.toFixed(1)} %`;
  };

  const seconds = (value) => {
    if (value < 0.001) {
      return `${Math.round(value * 1e6)} µs`;
    }
    if (value < 1) {
      return `${(value * 1e3).toFixed(value < 0.01 ? 1 : 0)} ms`;
    }
    return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  };

  const pause = (value) => {
    const whole = Math.max(0, Math.ceil(value));
    if (whole < 120) {
      return `${whole} s`;
    }
    return whole < 7200 ? `${Math.ceil(whole / 60)} min` : `${Math.ceil(whole / 3600)} h`;
  };

  const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");

  // Sums, differences, quantiles.

  const sum = (values) => values.reduce((total, value) => total + value, 0);

  const minus = (now, then) => {
    if (then === undefined) {
      return now;
    }
    if (typeof now === "number") {
      return Math.max(0, now - then);
    }
    if (Array.isArray(now)) {
      return now.map((value, place) => Math.max(0, value - (then[place] ?? 0)));
    }
    return Object.fromEntries(Object.entries(now).map(([key, value]) => [key, minus(value, then[key])]));
  };

  const together = (histograms) => {
    const all = Object.values(histograms);
    return all.length ? all[0].map((_, place) => sum(all.map((one) => one[place]))) : [];
  };

  // As Prometheus does it: linear inside the bucket; beyond the last one only "more than" is known.
  const quantile = (buckets, ends, q) => {
    const total = sum(buckets);
    if (!total) {
      return "–";
    }
    let below = 0;
    for (const [place, inside] of buckets.entries()) {
      if (inside && below + inside >= q * total) {
        if (place >= ends.length) {
          return `> ${seconds(ends.at(-1))}`;
        }
        const from = place ? ends[place - 1] : 0;
        return seconds(from + (ends[place] - from) * ((q * total - below) / inside));
      }
      below += inside;
    }
    return "–";
  };

  const outcomes = (vendor) => {
    const totals = { ok: 0, caller: 0, operator: 0, vendor: 0, refused: 0, gone: 0 };
    for (const route of Object.values(vendor.requests)) {
      for (const [outcome, number] of Object.entries(route)) {
        totals[FAULT_OF[outcome]] += number;
      }
    }
    return totals;
  };

  const requests = (vendor) => sum(Object.values(outcomes(vendor)));

  const failed = (vendor) => {
    const { caller, operator, vendor: theirs, refused, gone } = outcomes(vendor);
    return caller + operator + theirs + refused + gone;
  };

  // What was counted in the time that the person chose.

  const ago = (milliseconds) => {
    const since = state.now.at - milliseconds / 1000;
    return state.seen.find((one) => one.at >= since - 0.5) ?? state.now;
  };

  const inWindow = (name, now) => {
    const chosen = $("#window input:checked").value;
    if (chosen === "start") {
      return now;
    }
    const then = ago(WINDOW_MS).vendors[name];
    const counted = {};
    for (const key of ["requests", "codes", "whole", "theirs", "ours", "unmapped"]) {
      counted[key] = minus(now[key], then?.[key]);
    }
    return { ...now, ...counted };
  };

  const perSecond = (read) => {
    const then = ago(RATE_MS);
    const passed = state.now.at - then.at;
    return passed > 0 ? Math.max(0, read(state.now) - read(then)) / passed : 0;
  };

  const ofAll = (read) => (one) => sum([...Object.values(one.vendors), one.nobody].map(read));

  // Writing. An element is touched only where its words change.

  const write = (element, text) => {
    if (element && element.textContent !== text) {
      element.textContent = text;
    }
  };

  const tile = (name, text, alarm = false) => {
    const element = $(`[data-tile="${name}"]`);
    write(element, text);
    element.classList.toggle("alarm", alarm);
  };

  const tiles = (now) => {
    const windowed = Object.fromEntries(Object.entries(now.vendors).map(([name, vendor]) => [name, inWindow(name, vendor)]));
    const totals = { ok: 0, caller: 0, operator: 0, vendor: 0, refused: 0, gone: 0 };
    for (const vendor of Object.values(windowed)) {
      for (const [name, number] of Object.entries(outcomes(vendor))) {
        totals[name] += number;
      }
    }
    const all = sum(Object.values(totals));
    tile("rate", rate(perSecond(ofAll(requests))));
    tile("flight", count(sum(Object.values(now.vendors).map((vendor) => vendor.in_flight))));
    for (const name of ["ok", "caller", "operator", "vendor"]) {
      tile(name, share(totals[name], all));
    }
    const holds = sum(Object.values(now.vendors).map((vendor) => vendor.holds.length));
    tile("holds", count(holds));
    tile("unmapped", count(sum(Object.values(windowed).map((vendor) => vendor.unmapped))));
  };

  const sparks = (card, name) => {
    const recent = state.seen.slice(-SPARKS - 1);
    const rates = { all: [], bad: [] };
    for (let place = 1; place < recent.length; place += 1) {
      const [then, now] = [recent[place - 1], recent[place]];
      const passed = Math.max(0.1, now.at - then.at);
      for (const [line, read] of [["all", requests], ["bad", failed]]) {
        const before = then.vendors[name];
        rates[line].push(before ? Math.max(0, read(now.vendors[name]) - read(before)) / passed : 0);
      }
    }
    const top = Math.max(1, ...rates.all);
    for (const line of ["all", "bad"]) {
      const points = rates[line].map((value, place) => `${(120 * (SPARKS - rates[line].length + place + 1)) / SPARKS},${(27 - (value / top) * 25).toFixed(1)}`);
      $(`.spark .${line}`, card).setAttribute("points", points.join(" "));
    }
  };

  const codes = (card, vendor, all) => {
    const entries = Object.entries(vendor.codes).filter(([, number]) => number > 0);
    entries.sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0]));
    for (const [place, row] of [...$('[data-field="codes"]', card).children].entries()) {
      const [link, number, part] = row.children;
      const [code, times] = entries[place] ?? [];
      link.classList.toggle("blank", code === undefined);
      write(link.firstElementChild, code ?? "–");
      write(number, code === undefined ? "" : count(times));
      write(part, code === undefined ? "" : share(times, all));
      const href = code === undefined ? "-/problems" : `-/problems/${code}`;
      if (link.getAttribute("href") !== href) {
        link.setAttribute("href", href);
      }
    }
    const more = entries.length - CODES;
    const words = entries.length ? "" : "No error in this time.";
    $(".errors", card).toggleAttribute("data-empty", entries.length === 0);
    write($('[data-field="more-codes"]', card), more > 0 ? `and ${more} more ${more === 1 ? "code" : "codes"}` : words);
  };

  const limits = (card, vendor, passed) => {
    for (const limit of vendor.limits) {
      const row = [...card.querySelectorAll("[data-limit]")].find((one) => one.dataset.limit === limit.name);
      if (!row) {
        continue;
      }
      if (limit.remaining === null || limit.remaining === undefined) {
        write($(".left", row), `${count(limit.requests)} for each caller`);
        row.dataset.state = "each";
        continue;
      }
      const left = limit.remaining;
      const part = limit.requests ? left / limit.requests : 0;
      $(".meter i", row).style.width = `${Math.max(0, Math.min(1, part)) * 100}%`;
      row.dataset.state = left <= 0 ? "empty" : part <= 0.2 ? "low" : "well";
      const again = limit.resets_in ? ` · ${pause(limit.resets_in - passed)}` : "";
      write($(".left", row), `${count(left)} of ${count(limit.requests)} left${again}`);
    }
  };

  const standing = (card, vendor, passed) => {
    const held = [...vendor.holds].sort((one, other) => other.seconds - one.seconds);
    const longest = held[0];
    const breaker = vendor.breaker;
    const more = held.length > 1 ? `, and ${held.length - 1} more` : "";
    const left = longest && (longest.first ? "one request goes first" : pause(longest.seconds - passed));
    const hold = longest && `${left}: ${longest.code}, ${longest.scope}${more}`;
    write($('[data-field="hold"]', card), hold ?? "none");
    $('[data-field="hold"]', card).title = hold ?? "";
    const retry = breaker?.open ? (breaker.retry_in > passed ? `open, tries again in ${pause(breaker.retry_in - passed)}` : "open, trying now") : null;
    write($('[data-field="breaker"]', card), breaker ? (retry ?? "closed") : "not set");
    const element = $('[data-field="state"]', card);
    const traffic = requests(vendor) > 0;
    const kind = retry ? "open" : longest ? "held" : traffic ? "well" : "idle";
    element.dataset.state = kind;
    const words = { open: "breaker open", held: longest && `held, ${pause(longest.seconds - passed)}`, well: "answering", idle: "no traffic yet" };
    write(element.lastElementChild, words[kind]);
    const busy = vendor.connections;
    write($('[data-field="connections"]', card), busy.free === undefined ? "–" : `${count(busy.busy)} busy, ${count(busy.idle)} idle, ${count(busy.free)} free`);
  };

  const card = (name, now, passed) => {
    const element = [...document.querySelectorAll("[data-vendor]")].find((one) => one.dataset.vendor === name);
    if (!element) {
      return;
    }
    const vendor = inWindow(name, now);
    const totals = outcomes(vendor);
    const all = sum(Object.values(totals));
    const { seconds: ends, overhead } = state.now.buckets;
    write($('[data-field="rate"]', element), rate(perSecond((one) => (one.vendors[name] ? requests(one.vendors[name]) : 0))));
    sparks(element, name);
    for (const [place, part] of SHARES.entries()) {
      $('[data-field="outcomes"]', element).children[place].style.width = all ? `${(totals[part] / all) * 100}%` : "0";
      write($(`[data-outcome="${part}"]`, element), share(totals[part], all));
    }
    for (const [field, buckets, bounds] of [["whole", together(vendor.whole), ends], ["theirs", together(vendor.theirs), ends], ["ours", vendor.ours, overhead]]) {
      write($(`[data-field="${field}-50"]`, element), quantile(buckets, bounds, 0.5));
      write($(`[data-field="${field}-99"]`, element), quantile(buckets, bounds, 0.99));
    }
    for (const row of element.querySelectorAll("[data-route]")) {
      const counted = vendor.requests[row.dataset.route] ?? {};
      const wanted = sum(Object.values(counted));
      const cells = row.children;
      write(cells[1], wanted ? count(wanted) : "–");
      write(cells[2], wanted ? share(wanted - (counted.ok ?? 0), wanted) : "–");
      const times = vendor.whole[row.dataset.route] ?? [];
      write(cells[3], quantile(times, ends, 0.5));
      write(cells[4], quantile(times, ends, 0.99));
    }
    codes(element, vendor, all);
    limits(element, now, passed);
    standing(element, now, passed);
    write($('[data-field="unmapped"]', element), vendor.unmapped ? `${count(vendor.unmapped)}: see Drift` : "none");
  };

  const draw = () => {
    const now = state.now;
    const passed = (Date.now() - state.answeredAt) / 1000;
    tiles(now);
    for (const [name, vendor] of Object.entries(now.vendors)) {
      card(name, vendor, passed);
    }
  };

  // The last failures.

  const log = $("#log");
  const filters = $("#filters");

  const wanted = () => {
    const vendor = filters.elements.vendor.value;
    const code = filters.elements.code.value.trim().toLowerCase();
    const id = filters.elements.request_id.value.trim().toLowerCase();
    return state.failures.filter(
      (failure) =>
        (!vendor || failure.vendor === vendor) &&
        (!code || [failure.code, failure.vendor_code].some((one) => one?.toLowerCase().includes(code))) &&
        (!id || failure.request_id.toLowerCase().includes(id)),
    );
  };

  const rowOf = () => {
    const row = document.createElement("tr");
    row.append(...Array.from({ length: 7 }, () => document.createElement("td")));
    const button = document.createElement("button");
    button.type = "button";
    const dot = document.createElement("span");
    dot.setAttribute("aria-hidden", "true");
    const fault = document.createElement("span");
    fault.className = "sr";
    row.children[2].append(dot, button, fault);
    button.addEventListener("click", () => open(row.failure));
    return row;
  };

  const fill = (row, failure) => {
    row.failure = failure;
    const [time, vendor, code, theirs, status, caller, id] = row.children;
    write(time, clock(failure.at));
    write(vendor, failure.vendor === "none" ? "–" : failure.vendor);
    code.firstElementChild.className = `dot ${failure.fault ?? "gone"}`;
    write(code.children[1], failure.code ?? "cut off");
    code.children[1].title = failure.fault ? `fault: ${failure.fault}` : "";
    write(code.lastElementChild, failure.fault ? `, ${failure.fault}’s fault` : "");
    write(theirs, failure.vendor_code ?? failure.reason ?? "–");
    const inside = failure.kind === "job" ? " in a job" : "";
    const own = failure.vendor_status !== null && failure.vendor_status !== failure.status ? `, theirs ${failure.vendor_status}` : "";
    write(status, `${failure.status ?? "–"}${inside}${own}`);
    write(caller, failure.caller);
    write(id, failure.request_id);
    id.title = failure.request_id;
  };

  const list = (always = false) => {
    const found = wanted();
    // Rows stand still while somebody points at them or has one in focus.
    const still = !always && (log.matches(":hover") || log.contains(document.activeElement) || $("#envelope").open);
    const newest = found.length ? found[0].number : 0;
    const shownNewest = log.tBodies[0].firstElementChild?.failure?.number ?? 0;
    const waiting = found.filter((failure) => failure.number > shownNewest).length;
    if (still && newest !== shownNewest) {
      write($("#count"), `${count(waiting)} newer, shown when you leave the list`);
      return;
    }
    const shown = found.slice(0, SHOWN);
    const rows = log.tBodies[0];
    for (const [place, failure] of shown.entries()) {
      if (!rows.children[place]) {
        rows.append(rowOf());
      }
      fill(rows.children[place], failure);
      rows.children[place].hidden = false;
    }
    for (let place = shown.length; place < rows.children.length; place += 1) {
      rows.children[place].hidden = true;
    }
    log.hidden = shown.length === 0;
    $("#none").hidden = shown.length > 0;
    write($("#none"), state.failures.length ? "No failure that is remembered fits this filter." : "Nothing has failed since the gateway started.");
    const all = state.failures.length ? `${count(found.length)} of ${count(state.failures.length)}` : "none yet";
    write($("#count"), found.length > shown.length ? `the newest ${count(shown.length)} of ${count(found.length)}` : all);
    for (const { code } of shown) {
      if (code && !state.named.has(code)) {
        state.named.add(code);
        $("#codes").append(new Option(code, code));
      }
    }
  };

  const open = (failure) => {
    const facts = [
      ["Whose move", failure.fault ?? "nobody’s: it broke off"],
      ["When", new Date(failure.at * 1000).toISOString().replace("T", " ").replace(/\.\d+Z/u, " UTC")],
      ["Route", `${failure.method} ${failure.route}`],
      ["Caller", failure.caller],
      ["Rule", failure.rule ?? failure.reason ?? "the gateway’s own"],
      ["Outcome", failure.outcome],
    ];
    $("#envelope-facts").replaceChildren(
      ...facts.map(([term, words]) => {
        const pair = document.createElement("div");
        pair.append(Object.assign(document.createElement("dt"), { textContent: term }), Object.assign(document.createElement("dd"), { textContent: words }));
        return pair;
      }),
    );
    write($("#envelope-title"), failure.code ?? "The answer was cut off");
    write($("#envelope-json"), failure.envelope ? JSON.stringify(failure.envelope, null, 2) : "No envelope: the head of a success was out already, so the connection was cut.");
    $("#envelope-page").setAttribute("href", failure.code ? `-/problems/${failure.code}` : "-/problems");
    write($("#copy"), "Copy");
    $("#envelope").showModal();
  };

  $("#close").addEventListener("click", () => $("#envelope").close());
  $("#envelope").addEventListener("click", (event) => {
    if (event.target === event.currentTarget) {
      event.currentTarget.close();
    }
  });
  $("#copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText($("#envelope-json").textContent);
      write($("#copy"), "Copied");
    } catch {
      // Without HTTPS a browser has no clipboard for pages: the text is marked, and the keyboard copies it.
      getSelection().selectAllChildren($("#envelope-json"));
      write($("#copy"), "Marked");
    }
  });
  filters.addEventListener("input", () => list(true));
  filters.addEventListener("reset", () => setTimeout(() => list(true)));
  filters.addEventListener("submit", (event) => event.preventDefault());

  // Asking.

  const say = (kind, words) => {
    const pulse = $("#pulse");
    if (pulse.dataset.state !== kind || kind !== "live") {
      pulse.dataset.state = kind;
      write($("#said"), words);
    }
    document.body.classList.toggle("stale", kind === "lost");
  };

  // What the page has places for; a worker that does not answer at the moment changes nothing of it.
  const shape = (now) =>
    JSON.stringify(
      Object.entries(now.vendors).map(([name, vendor]) => [
        name,
        Object.keys(vendor.whole),
        vendor.connections.free === undefined ? null : vendor.limits.map((limit) => limit.name),
      ]),
    );

  const take = (now) => {
    if (now.epoch !== state.epoch) {
      // Another process answers: its numbers begin anew.
      Object.assign(state, { epoch: now.epoch, failures: [], seen: [] });
    }
    state.after = now.last;
    state.failures = [...now.failures.reverse(), ...state.failures].slice(0, KEPT);
    delete now.failures;
    state.now = now;
    state.answeredAt = Date.now();
    state.seen.push(now);
    const since = now.at - WINDOW_MS / 1000 - 2;
    while (state.seen[0].at < since) {
      state.seen.shift();
    }
  };

  const ask = async () => {
    const answer = await fetch(`-/console?after=${state.epoch ? state.after : 0}`, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) {
      throw new Error(answer.status === 401 ? "The token is not taken any more" : `Status ${answer.status}`);
    }
    return answer.json();
  };

  const poll = async () => {
    if (!state.paused && !document.hidden) {
      try {
        const before = state.epoch;
        let now = await ask();
        if (before !== null && now.epoch !== before) {
          state.epoch = null;
          now = await ask();
        }
        if (state.shape !== null && state.shape !== shape(now)) {
          // The settings have changed, and with them the places on this page.
          location.reload();
          return;
        }
        state.shape = shape(now);
        take(now);
        draw();
        list();
        const trouble = now.state === "ready" ? (now.limit_store_up ? "" : "limit store away") : now.state;
        say(trouble ? "troubled" : "live", trouble ? `Live: ${trouble}` : "Live");
      } catch (error) {
        const since = state.answeredAt ? ` since ${clock(state.answeredAt / 1000)}` : "";
        say("lost", error.message.startsWith("The token") ? error.message : `No answer${since}`);
      }
    }
    setTimeout(poll, POLL_MS);
  };

  // Countdowns go on between two answers.
  setInterval(() => {
    if (state.now && !state.paused && !document.hidden) {
      const passed = (Date.now() - state.answeredAt) / 1000;
      for (const element of document.querySelectorAll("[data-vendor]")) {
        const vendor = state.now.vendors[element.dataset.vendor];
        if (vendor) {
          limits(element, vendor, passed);
          standing(element, vendor, passed);
        }
      }
    }
  }, TICK_MS);

  $("#pause").addEventListener("click", () => {
    state.paused = !state.paused;
    $("#pause").setAttribute("aria-pressed", String(state.paused));
    say(state.paused ? "paused" : "live", state.paused ? `Paused at ${clock(Date.now() / 1000)}` : "Live");
  });
  $("#window").addEventListener("change", () => state.now && draw());
  document.addEventListener("visibilitychange", () => document.hidden || (state.now && draw()));

  poll();
})();
