'use strict';
// The status page: asks status/data every two seconds and draws what it says. Whatever comes is put into the page as text.

const REFRESH_MS = 2000, WAITING_MS = 300, ANSWER_DEADLINE_MS = 8000, FEWEST_POINTS = 30;
const HEIGHT = 180, LEFT = 44, RIGHT = 8, TOP = 24, BOTTOM = 20, COLOURS = 8;
const $ = (id) => document.getElementById(id);

/** An element with a class, text and children. */
function make(tag, { cls, text, ...attributes } = {}, ...children) {
  const svg = ['svg', 'path', 'line', 'text', 'circle'].includes(tag);
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  if (cls) element.setAttribute('class', cls);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// ---- numbers -------------------------------------------------------------------------------------------------------------

/** By what numbers as large as `most` are divided, and the unit they then have. */
function scaleFor(most, unit) {
  if (most === 0) return [1, unit];
  if (unit === 's') return most < 1e-3 ? [1e-6, 'µs'] : most < 1 ? [1e-3, 'ms'] : [1, 's'];
  return most >= 1e6 ? [1e6, `M ${unit}`] : most >= 1e4 ? [1e3, `k ${unit}`] : [1, unit];
}

function digits(value) {
  return value.toLocaleString('en', Math.abs(value) >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
}

/** A number and its unit apart; a dash where there is none. */
function written(value, unit) {
  if (value === null || value === undefined) return ['–', ''];
  const [divisor, scaled] = scaleFor(Math.abs(value), unit);
  return [digits(value / divisor), scaled];
}
const inWords = (value, unit) => written(value, unit).join(' ').trim();

/** Round steps from 0 to at least `most`: 1, 2, 2.5 or 5 times a power of ten, three or four of them. */
function ticksTo(most, whole) {
  const raw = (most || 1) / 3, power = 10 ** Math.floor(Math.log10(raw));
  let step = [1, 2, 2.5, 5, 10].find((one) => one * power >= raw * 0.999) * power;
  if (whole) step = Math.max(1, Math.ceil(step));
  const ticks = [0];
  while (ticks.at(-1) < (most || step) * 0.999) ticks.push(Number((ticks.length * step).toPrecision(12)));
  return ticks;
}

const newest = (values) => (values.length ? values.at(-1) ?? values.at(-2) ?? null : null);
const clock = (ms, parts) => new Date(ms).toLocaleTimeString([], { hour12: false, ...parts });

// ---- a chart -------------------------------------------------------------------------------------------------------------

class Chart {
  constructor(shared) {
    this.shared = shared;  // index: the moment that is pointed at, in all charts at once
    this.title = make('h2');
    this.help = make('p');
    this.svg = make('svg', { tabindex: 0, role: 'img' });
    this.tip = make('div', { cls: 'tip', hidden: '' });
    this.legend = make('ul', { cls: 'legend' });
    this.figure = make('figure', {}, this.title, this.help, make('div', { cls: 'plot' }, this.svg, this.tip), this.legend);
    this.svg.addEventListener('pointermove', (event) => this.point(this.indexAt(event.offsetX)));
    this.svg.addEventListener('pointerdown', (event) => this.point(this.indexAt(event.offsetX)));
    this.svg.addEventListener('pointerleave', () => this.point(null));
    this.svg.addEventListener('blur', () => this.point(null));
    this.svg.addEventListener('keydown', (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  show(data, grid) {
    Object.assign(this, { data, grid });
    this.title.textContent = data.title;
    this.help.textContent = data.help;
    this.legend.replaceChildren(...data.lines.map((line, i) => this.entry(line.name, newest(line.values), i)));
    this.svg.setAttribute('aria-label', `${data.title}: ${data.lines.map((line) => `${line.name} ${inWords(newest(line.values), data.unit)}`).join(', ') || 'no data'}`);
    this.draw();
  }

  entry(name, value, i) {
    return make('li', { cls: `c${i % COLOURS}` }, make('span', { cls: 'key' }), make('span', { text: name }), make('b', { text: inWords(value, this.data.unit) }));
  }

  indexAt(x) {
    const share = (x - LEFT) / (this.svg.clientWidth - LEFT - RIGHT);
    return Math.max(0, Math.min(this.grid.count - 1, Math.round(share * (this.grid.count - 1))));
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === 'Escape') this.point(null);
    if (step === undefined || !this.grid) return;
    event.preventDefault();
    this.point(Math.max(0, Math.min(this.grid.count - 1, (this.shared.index ?? this.grid.count - 1) + step)));
  }

  point(index) {
    this.shared.index = this.grid ? index : null;
    this.shared.chart = this;
    for (const chart of this.shared.all.values()) chart.draw();
  }

  draw() {
    const width = this.svg.clientWidth;
    if (!this.data || width === 0) return;
    const { data, grid } = this, all = data.lines.flatMap((line) => line.values).filter((value) => value !== null);
    const most = all.reduce((a, b) => Math.max(a, b), 0), [divisor, unit] = scaleFor(most, data.unit);
    const ticks = ticksTo(most / divisor, divisor === 1 && ['devices', 'records'].includes(unit)), top = ticks.at(-1) * divisor;
    const x = (i) => LEFT + (i / Math.max(1, grid.count - 1)) * (width - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
    const parts = [];
    for (const tick of ticks) {
      const at = y(tick * divisor);
      parts.push(make('line', { cls: 'rule', x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
      if (all.length) parts.push(make('text', { x: LEFT - 6, y: at + 4, 'text-anchor': 'end', text: digits(tick) }));
    }
    if (all.length) parts.push(make('text', { x: 0, y: 11, text: unit }));
    parts.push(...this.timeTicks(x, width));
    if (!all.length) parts.push(make('text', { cls: 'empty', x: (LEFT + width) / 2, y: HEIGHT / 2, text: 'no data' }));
    data.lines.forEach((line, i) => parts.push(...this.path(line.values, i, x, y, data.lines.length <= 2 && data.lines.length)));
    const at = this.shared.index;
    if (at !== null && at < grid.count) parts.push(...this.cross(at, x, y));
    this.svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(...parts);
    this.tell(at, x, width);
  }

  /** Whole minutes, or as many of them as leave room for what is written. */
  timeTicks(x, width) {
    const { first_ms: first, step_ms: step, count } = this.grid, span = step * (count - 1), parts = [];
    const every = [60, 120, 300, 600, 1800, 3600, 7200].map((s) => s * 1000).find((ms) => (span / ms) * 60 <= width - LEFT) ?? 14400000;
    for (let ms = Math.ceil(first / every) * every; ms <= first + span; ms += every) {
      const at = x((ms - first) / step);
      if (at > LEFT + 16 && at < width - 20) parts.push(make('text', { x: at, y: HEIGHT - 5, 'text-anchor': 'middle', text: clock(ms, { hour: '2-digit', minute: '2-digit' }) }));
    }
    return parts;
  }

  /** Line, and area of the first of two, broken where there is no value; a lone point is a dot by its round end. */
  path(values, i, x, y, ofTwo) {
    const pieces = [];
    values.forEach((value, at) => {
      if (value === null) return;
      if (at === 0 || values[at - 1] === null) pieces.push([]);
      pieces.at(-1).push(`${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
      pieces.at(-1).end = at;
    });
    const colour = `c${i % COLOURS}`;
    const areas = pieces.filter((piece) => ofTwo && i === 0 && piece.length > 1).map((piece) =>
      make('path', { cls: `area ${colour}`, d: `M${piece.join('L')}V${y(0)}H${x(piece.end - piece.length + 1).toFixed(1)}Z` }));
    return [...areas, make('path', { cls: `line ${colour}${ofTwo === 2 && i === 0 ? ' band' : ''}`, d: pieces.map((piece) => `M${piece.join('L')}${piece.length === 1 ? 'h0' : ''}`).join('') })];
  }

  cross(at, x, y) {
    const dots = this.data.lines.map((line, i) => [line.values[at], i]).filter(([value]) => value !== null && value !== undefined);
    return [make('line', { cls: 'cross', x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM }),
      ...dots.map(([value, i]) => make('circle', { cls: `dot c${i % COLOURS}`, cx: x(at), cy: y(value), r: 3.5 }))];
  }

  /** The values where this chart is pointed at, on the side that has room. */
  tell(at, x, width) {
    this.tip.hidden = at === null || at >= this.grid.count || this.shared.chart !== this;
    if (this.tip.hidden) return;
    const ms = this.grid.first_ms + at * this.grid.step_ms;
    this.tip.replaceChildren(make('time', { text: clock(ms) }), make('ul', {}, ...this.data.lines.map((line, i) => this.entry(line.name, line.values[at], i))));
    const isRight = x(at) > width / 2;
    this.tip.style.left = isRight ? 'auto' : `${x(at) + 12}px`;
    this.tip.style.right = isRight ? `${width - x(at) + 12}px` : 'auto';
  }
}

// ---- the page ------------------------------------------------------------------------------------------------------------

const charts = new Map(), shared = { all: charts, index: null, chart: null };
let lastPicture = 0, timer = 0;

// In the fragment, which browsers send to nobody, and taken out of it at once, so that no copied address has it.
let token = new URLSearchParams(location.hash.slice(1)).get('token') ?? sessionStorage.getItem('sluice-ops-token') ?? '';
if (location.hash) history.replaceState(null, '', location.pathname);

const TILES = [['Connected devices', 'devices', 'Connected'], ['Published', 'messages', 'Published'], ['Stored', 'stored', 'Stored'],
  ['PUBACK, p99', 'puback', 'p99'], ['Rejected', 'validation', 'Rejected'], ['Consumer lag', 'lag', null]];

function tile([label, id, name], data) {
  const chart = data.charts.find((one) => one.id === id), lines = chart.lines.filter((line) => name === null || line.name === name);
  const now = lines.map((line) => newest(line.values)).filter((value) => value !== null);
  const [number, unit] = written(now.length ? now.reduce((a, b) => a + b) : null, chart.unit);
  return make('div', { 'data-tile': id }, make('dt', { text: label }), make('dd', { text: `${number} ` }, make('small', { text: unit })));
}

function service({ name, ready, seen }) {
  const health = seen === 0 || ready === 0 ? 'down' : ready < seen ? 'part' : 'good';
  const words = seen === 0 ? 'gone' : ready === seen ? (seen > 1 ? `${seen} ready` : 'ready') : `${ready} of ${seen} ready`;
  return make('li', { 'data-health': health }, make('span', { text: name }), make('small', { text: words }));
}

/** Charts begin where the first figure is: a platform that was just started is not shown as four empty minutes. */
function fromFirstFigure(data) {
  const firsts = data.charts.flatMap((chart) => chart.lines.map((line) => line.values.findIndex((value) => value !== null))).filter((at) => at >= 0);
  const from = Math.max(0, Math.min(data.count - FEWEST_POINTS, ...firsts));
  for (const chart of data.charts) for (const line of chart.lines) line.values = line.values.slice(from);
  data.first_ms += from * data.step_ms;
  data.count -= from;
}

function show(data) {
  fromFirstFigure(data);
  lastPicture = Date.now();
  $('services').replaceChildren(...data.services.map(service));
  $('tiles').replaceChildren(...TILES.map((one) => tile(one, data)));
  const minutes = Math.round((data.step_ms * data.count) / 60000);
  $('span').textContent = minutes === 1 ? 'minute' : `${minutes} minutes`;
  for (const chart of data.charts) {
    if (!charts.has(chart.id)) {
      charts.set(chart.id, new Chart(shared));
      charts.get(chart.id).figure.id = `chart-${chart.id}`;
      $('charts').append(charts.get(chart.id).figure);
    }
    charts.get(chart.id).show(chart, data);
  }
}

/** What the head says, and below it what is wrong if anything. */
function say(state, words, notice = '') {
  $('state').dataset.state = state;
  $('state').textContent = words;
  $('notice').textContent = notice;
  $('notice').hidden = notice === '';
  document.body.classList.toggle('stale', state === 'stale');
}

const sinceLast = () => (lastPicture ? `figures of ${clock(lastPicture)}` : 'no figures yet');

function askForToken() {
  say('closed', 'the token is needed');
  $('sign-in-fault').textContent = token ? 'That token was not accepted.' : '';
  $('sign-in').hidden = false;
  for (const id of ['tiles', 'charts', 'services', 'foot']) $(id).hidden = true;
  sessionStorage.removeItem('sluice-ops-token');
  $('token').value = '';
  $('token').focus();
}

/** Deals with an answer; gives the milliseconds until the next question, or null when somebody must do something first. */
async function take(answer) {
  if (answer.status === 401) return askForToken(), null;
  if (!answer.ok) return say('stale', sinceLast(), `${answer.status}: ${await answer.text()}`), REFRESH_MS;
  if (token) sessionStorage.setItem('sluice-ops-token', token);
  const data = await answer.json();
  if (data.state === 'ok') return show(data), say('ok', 'live'), REFRESH_MS;
  if (data.state === 'waiting') return say('waiting', 'reading the first figures'), WAITING_MS;
  if (data.state === 'unset') return say('closed', 'no figures', data.why), 5 * REFRESH_MS;
  say('stale', sinceLast(), `Prometheus does not answer (${data.why}). Trying again.`);
  return REFRESH_MS;
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  if (/[^!-~]/.test(token)) return askForToken();  // no header can carry it
  let next = REFRESH_MS;
  try {
    next = await take(await fetch('status/data', {
      headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: 'no-store', signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
    }));
  } catch {
    say('stale', sinceLast(), 'The service behind this page does not answer. Trying again.');
  }
  clearTimeout(timer);
  if (next !== null) timer = setTimeout(look, next);
}

$('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  token = $('token').value.trim();
  $('sign-in').hidden = true;
  for (const id of ['tiles', 'charts', 'services', 'foot']) $(id).hidden = false;
  look();
});
document.addEventListener('visibilitychange', look);
look();
