/* app.js: the page. Every word of a document goes into the page as text, never as HTML. Offsets are characters (code points), as in the
 * API; JavaScript's own are UTF-16, so ranges go through Array.from. */
'use strict';

const $ = id => document.getElementById(id);
const api = '/api/v1';
const state = { set: 0, sets: [], documents: [], jobs: new Map(), uploads: 0, report: null, reportId: 0, diff: null, asking: null, timer: 0, hidden: new Set(), warned: new Set(), oldest: 0, review: '' };

function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (key === 'class') node.className = value;
    else if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key.includes('-') || key === 'for' || key === 'role') node.setAttribute(key, value);
    else node[key] = value;
  }
  for (const child of children.flat()) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}

let noteTimer = 0;
function note(text) {
  $('note').textContent = text;
  $('note').hidden = false;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { $('note').hidden = true; }, 6000);
}

/* ---- the API ---- */
function problemText(p, status) {
  if (!p || !p.detail) return 'The service answered with status ' + status + '.';
  return p.where ? p.where + ': ' + p.detail : p.detail;
}

async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(api + path, { method, headers: body ? { 'Content-Type': 'application/json' } : {}, body: body ? JSON.stringify(body) : undefined });
  } catch (e) {
    throw new Error('The service does not answer; is it still running?');
  }
  const data = await answer.json().catch(() => null);
  if (!answer.ok) {
    const error = new Error(problemText(data, answer.status));
    error.status = answer.status;
    throw error;
  }
  return data;
}

/* Posts and reads the event stream; resolves with the "done" event's data. */
async function stream(path, body, onEvent, signal) {
  const answer = await fetch(api + path, { method: 'POST', headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream' }, body: JSON.stringify(body), signal });
  if (!answer.ok) throw new Error(problemText(await answer.json().catch(() => null), answer.status));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '', result = null;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest += value;
    for (let cut; (cut = rest.indexOf('\n\n')) >= 0;) {
      const lines = rest.slice(0, cut).split('\n');
      rest = rest.slice(cut + 2);
      let name = 'message', data = '';
      for (const line of lines) {
        if (line.startsWith('event: ')) name = line.slice(7);
        else if (line.startsWith('data: ')) data += (data ? '\n' : '') + line.slice(6);
      }
      if (!data) continue;
      const parsed = JSON.parse(data);
      if (name === 'error') throw new Error(problemText(parsed, 500));
      if (name === 'done') result = parsed;
      else onEvent(name, parsed);
    }
  }
  if (!result) throw new Error('The stream ended before the result; try again.');
  return result;
}

const plural = (n, word) => n.toLocaleString('en') + ' ' + word + (n === 1 ? '' : 's');

/* ---- the address: #set=1&answer=5, to reload and to share ---- */
const fromAddress = () => ({ set: Number((location.hash.match(/set=(\d+)/) || [])[1]) || 0, answer: Number((location.hash.match(/answer=(\d+)/) || [])[1]) || 0 });
const addressOf = (set, answer) => '#set=' + set + (answer ? '&answer=' + answer : '');

async function openAddress() {
  const { set, answer } = fromAddress();
  if (set && set !== state.set && state.sets.some(s => s.id === set)) await loadSets(set);
  if (answer) await openAnswer(answer);
}
window.addEventListener('hashchange', () => openAddress().catch(e => note(e.message)));

/* ---- sets ---- */
async function loadSets(wanted) {
  state.sets = (await call('GET', '/sets')).sets;
  const fromHash = fromAddress().set;
  const id = [wanted, state.set, fromHash, state.sets.length ? state.sets[0].id : 0].find(x => state.sets.some(s => s.id === x)) || 0;
  $('set').replaceChildren(...state.sets.map(s => el('option', { value: s.id, selected: s.id === id }, s.name)));
  $('set').disabled = !state.sets.length;
  if (!state.sets.length) $('set').append(el('option', {}, 'no set yet'));
  await chooseSet(id);
}

async function chooseSet(id) {
  const other = id !== state.set;
  state.set = id;
  if (other) {
    if (state.asking) state.asking.abort();
    $('answers').replaceChildren();
    $('ask-empty').hidden = false;
    state.report = null;
    state.reportId = 0;
    state.jobs.clear();
    if (id && fromAddress().set !== id) history.replaceState(null, '', addressOf(id));
  }
  $('ask-button').disabled = $('make-report').disabled = !id;
  await refresh();
  if (other) await Promise.all([loadReport(), loadHistory()]);
}

$('set').addEventListener('change', () => chooseSet(Number($('set').value)).catch(e => note(e.message)));
$('new-set').addEventListener('click', () => openSetDialog());

let afterSet = null;
function openSetDialog(then) {
  afterSet = then || null;
  $('set-name').value = '';
  $('set-error').hidden = true;
  $('set-dialog').showModal();
}
$('set-cancel').addEventListener('click', () => $('set-dialog').close());
$('set-form').addEventListener('submit', async event => {
  event.preventDefault();
  try {
    const made = await call('POST', '/sets', { name: $('set-name').value });
    $('set-dialog').close();
    await loadSets(made.id);
    if (afterSet) afterSet();
  } catch (e) {
    $('set-error').textContent = e.message;
    $('set-error').hidden = false;
  }
});

/* ---- documents ---- */
/* Looks again: soon while there is work, later where the service did not answer (it may be starting anew). */
function refreshIn(ms) {
  clearTimeout(state.timer);
  state.timer = setTimeout(() => refresh().catch(e => {
    note(e.message);
    refreshIn(5000);
  }), ms);
}

async function refresh() {
  clearTimeout(state.timer);
  const set = state.set;
  if (!set) {
    state.documents = [];
    drawDocuments();
    return;
  }
  const [documents, jobs] = await Promise.all([call('GET', '/sets/' + set + '/documents'), call('GET', '/sets/' + set + '/jobs')]);
  if (set !== state.set) return;
  state.documents = documents.documents;
  state.jobs = new Map(jobs.jobs.map(j => [j.id, j]).reverse());
  drawDocuments();
  const busy = state.documents.some(d => d.state === 'queued') || jobs.jobs.some(j => j.state === 'queued' || j.state === 'running');
  if (busy) refreshIn(900);
}

const stageWords = { extract: 'reading the file', index: 'indexing', embed: 'making vectors', read: 'reading the set', search: 'searching', decide: 'deciding whether the documents answer', quote: 'quoting', judge: 'judging pairs', rules: 'comparing statements', detect: 'comparing statements' };

const isSheet = d => d.mime.endsWith('.spreadsheetml.sheet') || d.mime === 'text/csv';

/* What of a document was not read, or was guessed; only: of one page and what has no page. */
function warningsNode(d, open, only) {
  const list = (d.warnings || []).filter(w => !only || !w.page || w.page === only);
  if (!list.length) return null;
  return el('details', { class: 'warnings', open }, el('summary', {}, plural(list.length, 'warning')),
    el('ul', {}, list.map(w => el('li', {}, (w.page && !only ? (isSheet(d) ? 'Sheet ' : 'Page ') + w.page + ': ' : '') + w.message))));
}

function documentWarnings(d) {
  const node = warningsNode(d, state.warned.has(d.id));
  if (node) node.addEventListener('toggle', () => { if (node.open) state.warned.add(d.id); else state.warned.delete(d.id); });
  return node;
}

function drawDocuments() {
  const running = new Map();
  let reading = null;
  for (const job of state.jobs.values()) {
    if (job.document && (job.state === 'running' || job.state === 'queued')) running.set(job.document, job);
    if (job.kind === 'read' && job.state === 'running') reading = job;
  }
  const items = state.documents.filter(d => !d.replaced_by).map(d => {
    const job = running.get(d.id);
    let words;
    if (d.state === 'failed') words = d.error ? d.error.message + (d.error.where && d.error.where !== d.name ? ' (' + d.error.where + ')' : '') : 'could not be read';
    else if (d.state === 'queued') words = job && job.state === 'running' ? (stageWords[job.stage] || 'working') + ' …' : 'waiting …';
    else words = (d.pages > 1 || d.mime === 'application/pdf' ? plural(d.pages, isSheet(d) ? 'sheet' : 'page') + ' · ' : '') + plural(d.statements, 'statement') + (d.pages_without_text ? ' · ' + plural(d.pages_without_text, 'page') + ' without text, not read' : '') + (d.duplicate_of ? ' · same bytes as another document' : '');
    return el('li', { class: 'document ' + d.state, 'data-document': d.id },
      d.state === 'ready'
        ? el('button', { type: 'button', class: 'document-name', title: 'Open ' + d.name, onclick: () => openViewer({ document_id: d.id, document: d.name, page: 1, start: 0, end: 0 }) }, d.name)
        : el('span', { class: 'document-name' }, d.name),
      el('button', { type: 'button', class: 'remove', 'aria-label': 'Delete ' + d.name, title: 'Delete', onclick: () => askDelete(d) }, '✕'),
      el('span', { class: 'document-state' }, words,
        d.state === 'failed' ? el('button', { type: 'button', class: 'retry', 'aria-label': 'Try ' + d.name + ' again', onclick: () => retry(d) }, 'Try again') : null),
      documentWarnings(d));
  });
  if (!items.length) items.push(el('li', { class: 'hint' }, state.set ? 'No documents yet.' : 'Make a set, or drop files here to begin.'));
  $('documents').replaceChildren(...items);
  const n = state.documents.filter(d => !d.replaced_by).length;
  $('documents-count').textContent = n ? '· ' + n : '';
  if (!n) openDocuments(true);
  $('reading').hidden = !reading;
  if (reading) $('reading').textContent = reading.total > 0 ? 'Reading the set: ' + reading.done.toLocaleString('en') + ' of ' + plural(reading.total, 'token') : 'Reading the set …';
}

/* On a phone the list folds away, so that the question is not below it; on a desk it is always open (app.css). */
function openDocuments(open) {
  $('documents-body').classList.toggle('open', open);
  $('documents-toggle').setAttribute('aria-expanded', String(open || innerWidth > 760));
}
$('documents-toggle').addEventListener('click', () => openDocuments(!$('documents-body').classList.contains('open')));

async function retry(d) {
  try {
    await call('POST', '/documents/' + d.id + '/retry');
    await refresh();
  } catch (e) { note(e.message); }
}

let deleting = null;
function askDelete(d) {
  deleting = d;
  $('delete-name').textContent = d.name;
  $('delete-error').hidden = true;
  $('delete-dialog').showModal();
}
$('delete-cancel').addEventListener('click', () => $('delete-dialog').close());
$('delete-yes').addEventListener('click', async () => {
  $('delete-yes').disabled = true;
  try {
    await call('DELETE', '/documents/' + deleting.id);
    $('delete-dialog').close();
    note(deleting.name + ' was deleted, with all that came of it.');
    $('answers').replaceChildren();
    $('ask-empty').hidden = false;
    history.replaceState(null, '', addressOf(state.set)); /* an answer goes with the document */
    await refresh();
    await Promise.all([loadReport(), loadHistory()]);
  } catch (e) {
    $('delete-error').textContent = e.message;
    $('delete-error').hidden = false;
  }
  $('delete-yes').disabled = false;
});

/* ---- upload: two files at a time ---- */
const waiting = [];
function addFiles(files) {
  if (!files.length) return;
  if (!state.set) {
    openSetDialog(() => addFiles(files));
    return;
  }
  openDocuments(true);
  for (const file of files) {
    const bar = el('progress', { max: 1, value: 0, 'aria-label': 'Upload of ' + file.name });
    const words = el('span', { class: 'document-state' }, 'waiting …');
    const item = el('li', { class: 'document' }, el('span', { class: 'document-name' }, file.name), words, bar);
    $('uploads').append(item);
    waiting.push({ file, set: state.set, bar, words, item });
  }
  pump();
}

function pump() {
  while (state.uploads < 2 && waiting.length) {
    state.uploads++;
    send(waiting.shift()).finally(() => { state.uploads--; pump(); });
  }
}

function send(job) {
  return new Promise(resolve => {
    const request = new XMLHttpRequest();
    const fail = text => {
      job.item.classList.add('failed');
      job.words.textContent = text;
      job.bar.remove();
      job.item.append(el('button', { type: 'button', class: 'remove', 'aria-label': 'Dismiss ' + job.file.name, onclick: () => job.item.remove() }, '✕'));
      resolve();
    };
    request.upload.onprogress = event => {
      if (event.lengthComputable) job.bar.value = event.loaded / event.total;
      job.words.textContent = 'sending …';
    };
    request.onload = () => {
      let data = null;
      try { data = JSON.parse(request.responseText); } catch (e) { /* said below */ }
      if (request.status !== 202) { fail(problemText(data, request.status)); return; }
      job.item.remove();
      refresh().catch(e => note(e.message)).finally(resolve);
    };
    request.onerror = () => fail('The file could not be sent.');
    request.open('POST', api + '/sets/' + job.set + '/documents');
    const form = new FormData();
    form.append('file', job.file, job.file.name);
    request.send(form);
  });
}

$('choose').addEventListener('click', () => $('files').click());
$('files').addEventListener('change', () => {
  addFiles(Array.from($('files').files));
  $('files').value = '';
});
for (const name of ['dragenter', 'dragover']) document.addEventListener(name, event => { event.preventDefault(); $('drop').classList.add('over'); });
for (const name of ['dragleave', 'drop']) document.addEventListener(name, event => { event.preventDefault(); if (name === 'drop' || !event.relatedTarget) $('drop').classList.remove('over'); });
document.addEventListener('drop', event => addFiles(Array.from(event.dataTransfer.files)));

/* ---- quotes ---- */
/* The quote's characters with marked ones in <mark>. It may begin with a lead-in that stands elsewhere; its end is the range's end. A table's
 * header keeps its line above the row. */
function quoteNodes(c) {
  const chars = Array.from(c.quote);
  const lead = chars.length - (c.end - c.start), first = c.start - lead;
  const marks = c.marks || [];
  const nodes = [];
  let i = 0;
  const inside = at => marks.some(m => at >= m.start && at < m.end);
  while (i < chars.length) {
    const on = inside(first + i);
    let j = i;
    while (j < chars.length && inside(first + j) === on && (j === i || j !== lead)) j++;
    const header = j <= lead && chars[lead - 1] === '\n'; /* each of its lines stays one */
    chars.slice(i, j).join('').split(header ? '\n' : undefined).forEach((line, k) => {
      const text = line.replace(/\s+/g, ' ');
      if (k) nodes.push(el('br'));
      nodes.push(on ? el('mark', {}, text) : text);
    });
    i = j;
  }
  return nodes;
}

function placeText(c) {
  const d = state.documents.find(x => x.id === c.document_id);
  if (c.cell) return c.document + ', ' + c.page_label + (c.section && c.section !== c.sheet ? ', section ' + c.section : '');
  const paged = !d || d.pages > 1 || d.mime === 'application/pdf'; /* a web page has no page numbers */
  const label = paged ? c.page_label || (c.page ? String(c.page) : '') : '';
  return c.document + (label ? (label.includes(' ') ? ', ' : ', page ') + label : '') + (c.section ? ', section ' + c.section : '');
}

function placeButton(c) {
  return el('button', { type: 'button', class: 'place', onclick: () => openViewer(c) }, placeText(c));
}

function citation(c) {
  return el('div', { class: 'citation' }, placeButton(c),
    el('p', { class: 'quote', onclick: () => openViewer(c) }, quoteNodes(c)),
    c.also && c.also.length ? el('p', { class: 'also' }, 'Also in', c.also.map(placeButton)) : null);
}

function coverageNode(v, extra, model) {
  if (!v) return null;
  const chosen = v.chosen_by === 'whole_set' ? 'the whole set' : v.chosen_by === 'search' ? 'chosen by search' : '';
  const parts = model === 'none' ? ['Searched ' + plural(v.tokens_in_set, 'token') + '; no model read them', plural(v.documents || 0, 'document')] : ['Read ' + v.tokens_read.toLocaleString('en') + ' of ' + plural(v.tokens_in_set, 'token') + (chosen ? ' (' + chosen + ')' : ''), plural(v.documents || 0, 'document')];
  if (v.pages_without_text) parts.push(plural(v.pages_without_text, 'page') + ' without text not read');
  if (extra) parts.push(extra);
  return el('div', { class: 'coverage' }, el('p', {}, parts.join(' · ')),
    v.classes_checked ? el('p', {}, 'Checked: ' + v.classes_checked.join(', ')) : null,
    (v.not_read || []).map(n => el('p', { class: 'missed' }, 'Not read: ' + n.document + ': ' + n.reason)));
}

/* ---- ask ---- */
const statusWords = { answered: 'Answered', not_in_documents: 'Not in the documents', documents_disagree: 'The documents disagree', contradiction: 'Contradiction', resolved: 'Resolved', superseded: 'Superseded', uncertain: 'Uncertain' };
const badge = status => el('span', { class: 'badge ' + status }, statusWords[status] || status);

function showStage(box, e) {
  const bar = box.querySelector('progress');
  const counted = e.total > 1;
  if (counted) { bar.max = e.total; bar.value = Math.min(e.done, e.total); } else bar.removeAttribute('value');
  const words = stageWords[e.stage] || e.stage;
  box.querySelector('.progress-text').textContent = words.charAt(0).toUpperCase() + words.slice(1) + (counted ? ': ' + e.done.toLocaleString('en') + ' of ' + e.total.toLocaleString('en') : ' …');
}

$('ask').addEventListener('submit', async event => {
  event.preventDefault();
  const question = $('question').value.trim();
  if (!question || !state.set || state.asking) return;
  const card = el('article', { class: 'card', 'aria-label': question }, el('h2', { class: 'asked' }, question));
  const found = el('div', { class: 'citations' });
  card.append(found);
  $('ask-empty').hidden = true;
  $('answers').prepend(card);
  openDocuments(false);
  $('ask-progress').hidden = false;
  $('ask-button').disabled = true;
  showStage($('ask-progress'), { stage: 'search', done: 0, total: 0 });
  const control = state.asking = new AbortController();
  try {
    const answer = await stream('/sets/' + state.set + '/questions', { question }, (name, data) => {
      if (name === 'stage') showStage($('ask-progress'), data);
      if (name === 'citation') found.append(citation(data));
    }, control.signal);
    drawAnswer(card, question, answer);
    if (answer.id) history.pushState(null, '', addressOf(state.set, answer.id));
    loadHistory().catch(e => note(e.message));
    $('question').select();
  } catch (e) {
    if (control.signal.aborted) card.remove();
    else card.replaceChildren(el('h2', { class: 'asked' }, question), el('p', { class: 'error', role: 'alert' }, e.message));
  }
  state.asking = null;
  $('ask-progress').hidden = true;
  $('ask-button').disabled = !state.set;
});
$('question').addEventListener('input', () => {
  $('question').style.height = 'auto';
  $('question').style.height = $('question').scrollHeight + 2 + 'px';
});
$('question').addEventListener('keydown', event => {
  if (event.key === 'Enter' && !event.shiftKey) {
    event.preventDefault();
    $('ask').requestSubmit();
  }
});

function drawAnswer(card, question, a) {
  const quoteIsAnswer = a.answer_is === 'the_quote' || (a.citations.length && a.answer === a.citations[0].quote);
  const reading = a.reading ? a.reading.restored.toLocaleString('en') + ' tokens restored, ' + a.reading.newly_read.toLocaleString('en') + ' newly read' + (a.timings ? ', ' + a.timings.total.toFixed(1) + ' s' : '') : '';
  card.replaceChildren(
    el('h2', { class: 'asked' }, question),
    el('div', { class: 'answer-line' }, badge(a.status), quoteIsAnswer ? null : el('p', { class: 'answer-text' }, a.answer)),
    el('div', { class: 'citations' }, a.citations.map(citation)));
  if (a.conflict) {
    card.append(el('p', { class: 'why' }, badge(a.conflict.status), ' ', a.conflict.why));
    if (a.conflict.by) card.append(citation(a.conflict.by));
  }
  if (a.nearest && a.nearest.length)
    card.append(el('details', { class: 'nearest', open: a.status === 'not_in_documents' }, el('summary', {}, a.status === 'not_in_documents' ? 'The nearest passages' : 'Other passages near the question'), el('div', { class: 'citations' }, a.nearest.map(citation))));
  if (a.note) card.append(el('p', { class: 'hint' }, a.note));
  if (a.replaced && a.replaced.length) card.append(el('p', { class: 'replaced' }, 'Replaced since by a newer version: ' + a.replaced.join(', ') + '. The quotes are of the version that was read then.'));
  card.append(coverageNode(a.coverage, a.model === 'none' ? '' : reading, a.model));
  if (a.id) card.dataset.answer = a.id;
}

/* ---- answers given before ---- */
const timeText = seconds => new Date(seconds * 1000).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

async function openAnswer(id) {
  openTab(0);
  const there = document.querySelector('#answers .card[data-answer="' + id + '"]');
  if (there) {
    there.scrollIntoView({ block: 'start' });
    return;
  }
  const answer = await call('GET', '/questions/' + id);
  if (answer.set !== state.set) throw new Error('That answer is of another set.');
  const card = el('article', { class: 'card', 'aria-label': answer.question });
  drawAnswer(card, answer.question, answer);
  card.querySelector('.asked').append(el('span', { class: 'hint' }, ' · asked ' + timeText(answer.asked_at)));
  $('ask-empty').hidden = true;
  $('answers').prepend(card);
  openDocuments(false);
  card.scrollIntoView({ block: 'nearest' });
}

function historyItem(q) {
  const address = addressOf(state.set, q.id);
  return el('li', {}, el('a', { href: address, onclick: event => {
    event.preventDefault();
    if (location.hash !== address) history.pushState(null, '', address);
    openAnswer(q.id).catch(e => note(e.message));
  } }, q.question), el('span', { class: 'hint' }, (statusWords[q.status] || '') + ' · ' + timeText(q.asked_at)));
}

/* The newest page, or the one behind what is shown. */
async function loadHistory(more) {
  const set = state.set;
  const after = more ? state.oldest : 0;
  const page = set ? await call('GET', '/sets/' + set + '/questions' + (after ? '?after=' + after : '')) : { questions: [], has_more: false };
  if (set !== state.set) return;
  const items = page.questions.map(historyItem);
  if (more) $('history-list').append(...items); else $('history-list').replaceChildren(...items);
  if (page.questions.length) state.oldest = page.questions[page.questions.length - 1].id;
  $('history').hidden = !$('history-list').children.length;
  $('history-more').hidden = !page.has_more;
}
$('history-more').addEventListener('click', () => loadHistory(true).catch(e => note(e.message)));

/* ---- report ---- */
async function loadReport() {
  state.report = state.diff = null;
  $('report-page').hidden = true;
  if (state.set) {
    try {
      const latest = await call('GET', '/sets/' + state.set + '/reports');
      state.report = latest.report;
      state.reportId = latest.id;
      state.diff = latest.id ? await call('GET', '/reports/' + latest.id + '/diff') : null;
      if (state.diff && !state.diff.base) state.diff = null; /* the first report */
    } catch (e) { note(e.message); }
  }
  drawReport();
}

$('make-report').addEventListener('click', async () => {
  openDocuments(false);
  $('make-report').disabled = true;
  $('report-progress').hidden = false;
  showStage($('report-progress'), { stage: 'detect', done: 0, total: 0 });
  try {
    await stream('/sets/' + state.set + '/reports', {}, (name, data) => { if (name === 'stage') showStage($('report-progress'), data); });
    await loadReport();
  } catch (e) { note(e.message); }
  $('report-progress').hidden = true;
  $('make-report').disabled = !state.set;
});

/* What changed since the report before, with its cause as far as it is known. */
function diffNode(d) {
  if (!d) return null;
  const why = [];
  if (d.documents_added.length) why.push('added or changed: ' + d.documents_added.join(', '));
  if (d.documents_gone.length) why.push('no longer read: ' + d.documents_gone.join(', '));
  if (d.other_program) why.push('another model or version of the rules');
  return el('div', { class: 'diff' },
    el('p', {}, 'Since the report before: ' + d.new.length + ' new, ' + d.gone.length + ' gone, ' + d.unchanged + ' unchanged' + (why.length ? ' (' + why.join('; ') + ')' : '') + '.'),
    d.gone.length ? el('details', {}, el('summary', {}, 'Gone'), el('ul', {}, d.gone.map(f => el('li', {}, f.class + ': ' + f.why)))) : null);
}

const order = ['contradiction', 'uncertain', 'resolved', 'superseded'];
const severities = ['critical', 'high', 'medium', 'low'];
function drawReport() {
  const r = state.report;
  if (!r) {
    $('report').replaceChildren(el('p', { class: 'empty' }, state.set ? 'No report yet. It compares every amount, date, period, percentage, duty and prohibition of the set.' : 'Make a set and add documents first.'));
    return;
  }
  if (state.reportId) {
    $('report-page').href = api + '/reports/' + state.reportId + '.html';
    $('report-page').hidden = false;
  }
  const filters = el('fieldset', { class: 'filters' }, el('legend', { class: 'visually-hidden' }, 'Show'), order.map(status => {
    const n = r.findings.filter(f => f.status === status).length;
    return el('label', {}, el('input', { type: 'checkbox', checked: !state.hidden.has(status), name: status, onchange: event => {
      if (event.target.checked) state.hidden.delete(status); else state.hidden.add(status);
      drawFindings();
    } }), statusWords[status] + ' ' + n);
  }));
  const choice = el('select', { id: 'review-filter', onchange: event => { state.review = event.target.value; drawFindings(); } }, el('option', { value: '' }, 'all'), Object.keys(reviewWords).map(s => el('option', { value: s, selected: s === state.review }, reviewWords[s])));
  filters.append(el('label', {}, 'Review ', choice), el('span', { class: 'hint' }, 'Keys: j, k next and previous; c confirm, d dismiss, r resolved, n needs review, o reopen, e note'));
  filters.style.border = '0';
  filters.style.padding = '0';
  const diff = diffNode(state.diff);
  $('report').replaceChildren(...(diff ? [diff] : []), filters, el('div', { class: 'findings', id: 'findings' }), coverageNode(r.coverage, r.coverage && r.coverage.pairs_proposed !== undefined ? plural(r.coverage.pairs_proposed, 'pair') + ' compared, ' + r.coverage.pairs_judged.toLocaleString('en') + ' judged by the model' : '', r.coverage && r.coverage.model));
  drawFindings();
}

function side(c) {
  return el('div', { class: 'side' }, placeButton(c), el('p', { class: 'quote', onclick: () => openViewer(c) }, quoteNodes(c)));
}

function drawFindings() {
  const rank = f => order.indexOf(f.status) * 10 + Math.max(0, severities.indexOf(f.severity));
  const shown = state.report.findings.filter(f => !state.hidden.has(f.status) && (!state.review || !f.review || f.review.state === state.review)).sort((x, y) => rank(x) - rank(y));
  const cards = shown.map(f => el('article', { class: 'card finding', tabIndex: 0, 'data-status': f.status, 'data-finding': f.id || '', 'data-review': f.review ? f.review.state : '', 'aria-label': statusWords[f.status] + ': ' + f.why },
    el('div', { class: 'finding-head' }, badge(f.status), el('span', { class: 'finding-class' }, f.class), f.severity ? el('span', { class: 'severity', title: f.severity_reason || '' }, 'severity ' + f.severity) : null, f.possible ? el('span', { class: 'severity' }, 'proposed by the model') : null, state.diff && state.diff.new.some(x => x.key === f.key) ? el('span', { class: 'badge fresh' }, 'not in the report before') : null),
    el('p', { class: 'why' }, f.why),
    el('div', { class: 'sides' }, side(f.a), side(f.b)),
    f.by ? el('div', { class: 'by' }, el('p', { class: 'hint' }, f.status === 'superseded' ? 'Replaced by' : 'Settled by'), citation(f.by)) : null,
    f.review ? reviewNode(f) : null));
  if (!cards.length) cards.push(el('p', { class: 'empty' }, state.report.findings.length ? 'Nothing with the states chosen above.' : 'Nothing found in the parts and classes checked (below).'));
  $('findings').replaceChildren(...cards);
}

/* ---- reviews ---- */
const reviewWords = { new: 'Not reviewed', confirmed: 'Confirmed', dismissed: 'Dismissed', resolved: 'Resolved by us', needs_review: 'Needs review' };
const reviewKeys = { c: 'confirmed', d: 'dismissed', r: 'resolved', n: 'needs_review', o: 'new' };
const reviewVerbs = { confirmed: 'Confirm', dismissed: 'Dismiss …', resolved: 'Resolved', needs_review: 'Needs review', new: 'Reopen' };

function reviewNode(f) {
  const r = f.review;
  const past = el('ul', {});
  const button = ([key, s]) => el('button', { type: 'button', class: 'quiet', disabled: r.state === s, title: 'Key ' + key, onclick: () => decide(f, s) }, reviewVerbs[s]);
  return el('div', { class: 'review' },
    el('p', { class: 'review-state' }, el('strong', {}, reviewWords[r.state]), r.reason ? ': ' + r.reason : '', r.reviewed_at ? el('span', { class: 'hint' }, ' · ' + timeText(r.reviewed_at)) : null),
    r.note ? el('p', { class: 'review-note' }, r.note) : null,
    el('div', { class: 'review-buttons' }, Object.entries(reviewKeys).map(button), el('button', { type: 'button', class: 'quiet', title: 'Key e', onclick: () => openReview(f, r.state) }, 'Note …')),
    r.revision ? el('details', { ontoggle: event => { if (event.target.open) showPast(f, past); } }, el('summary', {}, 'History'), past) : null);
}

async function showPast(f, list) {
  try {
    const finding = await call('GET', '/findings/' + f.id);
    list.replaceChildren(...finding.history.map(r => el('li', {}, timeText(r.reviewed_at) + ': ' + reviewWords[r.state] + (r.reason ? ': ' + r.reason : '') + (r.note ? ' · ' + r.note : ''))));
  } catch (e) { note(e.message); }
}

function decide(f, to) {
  if (to === 'dismissed') openReview(f, to);
  else if (to !== f.review.state) sendReview(f, { state: to }).catch(e => note(e.message));
}

/* Writes the review down and draws the card anew, with the focus where it was. */
async function sendReview(f, change) {
  try {
    f.review = (await call('PATCH', '/findings/' + f.id, { ...change, revision: f.review.revision })).review;
  } catch (e) {
    if (e.status === 409) f.review = (await call('GET', '/findings/' + f.id)).review; /* somebody else was first: show what they said */
    drawFindings();
    throw e;
  }
  drawFindings();
  const card = document.querySelector('.finding[data-finding="' + f.id + '"]') || document.querySelector('.finding');
  if (card) card.focus();
}

const reviewing = { finding: null, state: 'new' };
function openReview(f, to) {
  reviewing.finding = f;
  reviewing.state = to;
  $('review-title').textContent = to === 'dismissed' ? 'Dismiss this finding?' : 'Note on this finding';
  $('review-reason').value = f.review.reason;
  $('review-note').value = f.review.note;
  $('review-reason').required = to === 'dismissed';
  $('review-reason-row').hidden = to !== 'dismissed';
  $('review-error').hidden = true;
  $('review-dialog').showModal();
}
$('review-cancel').addEventListener('click', () => $('review-dialog').close());
$('review-form').addEventListener('submit', async event => {
  event.preventDefault();
  try {
    await sendReview(reviewing.finding, { state: reviewing.state, note: $('review-note').value, ...(reviewing.state === 'dismissed' ? { reason: $('review-reason').value } : {}) });
    $('review-dialog').close();
  } catch (e) {
    $('review-error').textContent = e.message;
    $('review-error').hidden = false;
  }
});

$('report').addEventListener('keydown', event => {
  if (event.target.matches('input, select, textarea') || event.ctrlKey || event.metaKey || event.altKey) return;
  const cards = [...document.querySelectorAll('#findings .finding')];
  const at = cards.indexOf(event.target.closest('.finding'));
  if (event.key === 'j' || event.key === 'k') {
    const next = cards[at < 0 ? 0 : at + (event.key === 'j' ? 1 : -1)];
    if (next) next.focus();
    return;
  }
  const f = at < 0 ? null : state.report.findings.find(x => x.id && String(x.id) === cards[at].dataset.finding);
  if (!f || (!reviewKeys[event.key] && event.key !== 'e')) return;
  event.preventDefault();
  if (event.key === 'e') openReview(f, f.review.state); else decide(f, reviewKeys[event.key]);
});

/* ---- viewer ---- */
const view = { c: null, page: 1, pages: 1, rects: [], opener: null, ticket: 0 };

async function openViewer(c) {
  const ticket = ++view.ticket;
  let d = state.documents.find(x => x.id === c.document_id) || state.documents.find(x => x.name === c.document && !x.replaced_by);
  const dialog = $('viewer');
  $('viewer-title').textContent = c.document;
  $('viewer-place').textContent = c.end > c.start ? placeText(c).slice(c.document.length + 2) : '';
  $('viewer-body').replaceChildren(el('p', { class: 'page-wait' }, 'One moment …'));
  $('viewer-warnings').replaceChildren();
  if (!dialog.open) dialog.showModal();
  $('viewer-body').focus();
  try {
    if (!d) d = await call('GET', '/documents/' + c.document_id);
    view.c = c;
    view.document = d;
    view.id = d.id;
    view.pages = d.pages;
    view.page = c.page || 1;
    view.rects = { statement: [], words: [] };
    const isPdf = d.mime === 'application/pdf' || /\.pdf$/i.test(d.name);
    if (isPdf) {
      const ranges = c.marks && c.marks.length ? c.marks : c.end > c.start ? [{ start: c.start, end: c.end }] : [];
      const get = range => call('GET', '/documents/' + d.id + '/rects?start=' + range.start + '&end=' + range.end).then(x => x.pages);
      const [statement, ...words] = await Promise.all([c.end > c.start ? get(c) : [], ...ranges.map(get)]);
      if (ticket !== view.ticket) return;
      view.rects = { statement, words: words.flat() };
      if (view.rects.words.length) view.page = view.rects.words[0].page;
      await showPage();
    } else {
      await showText(c, d, ticket);
    }
  } catch (e) {
    if (ticket === view.ticket) $('viewer-body').replaceChildren(el('p', { class: 'page-wait error' }, e.message));
  }
}

function svg(tag, attributes) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function drawViewerWarnings(page) {
  const node = warningsNode(view.document, true, page);
  $('viewer-warnings').replaceChildren(...(node ? [node] : []));
}

function showPage() {
  const page = view.page;
  drawViewerWarnings(page);
  $('page-back').hidden = $('page-on').hidden = view.pages < 2;
  $('page-back').disabled = page <= 1;
  $('page-on').disabled = page >= view.pages;
  const label = (view.rects.words.find(p => p.page === page) || {}).label;
  $('viewer-place').textContent = 'Page ' + (label && label !== String(page) ? label + ' (' + page + ' of ' + view.pages + ')' : page + ' of ' + view.pages) + (view.c.section && view.c.page === page ? ', section ' + view.c.section : '');
  const box = el('div', { class: 'page', 'data-page': page });
  const image = el('img', { alt: 'Page ' + page + ' of ' + view.c.document });
  const wait = el('p', { class: 'page-wait' }, 'Drawing the page …');
  $('viewer-body').replaceChildren(wait, box);
  box.hidden = true;
  return new Promise((resolve, reject) => {
    image.onload = () => {
      wait.remove();
      box.hidden = false;
      for (const kind of ['statement', 'words']) {
        for (const p of view.rects[kind].filter(x => x.page === page)) {
          const layer = svg('svg', { viewBox: '0 0 ' + p.width + ' ' + p.height, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
          for (const [x0, y0, x1, y1] of p.rects) layer.append(svg('rect', { class: kind, x: x0 - 1, y: y0 - 1, width: x1 - x0 + 2, height: y1 - y0 + 2, rx: 1.5 }));
          box.append(layer);
        }
      }
      const first = box.querySelector('rect.words') || box.querySelector('rect.statement');
      const body = $('viewer-body');
      if (first) body.scrollTop += first.getBoundingClientRect().top - body.getBoundingClientRect().top - body.clientHeight / 3;
      else body.scrollTop = 0;
      resolve();
    };
    image.onerror = () => reject(new Error('This page cannot be drawn.'));
    box.append(image);
    image.src = api + '/documents/' + view.id + '/pages/' + page + '.png?dpi=144';
  });
}

const columnName = n => (n >= 26 ? columnName(Math.floor(n / 26) - 1) : '') + String.fromCharCode(65 + n % 26);

/* A spreadsheet: its cells as a grid, with the letters and numbers that a citation names them by. The formulas of a sheet stand behind its
 * cells, each in three words at one place: where, of what, the formula. */
function showSheets(c, t, chars, marks) {
  const box = el('div', { class: 'sheets' });
  const meets = (cell, ranges) => ranges.some(m => cell[0] < m.end && cell[1] > m.start);
  const same = (x, y) => x && y && x.slice(2).join() === y.slice(2).join();
  const heads = names => el('tr', {}, names.map(name => el('th', { scope: 'col' }, name)));
  if (t.start > 0) box.append(el('p', { class: 'cut' }, '… the rows before these are not shown'));
  for (const page of new Set(t.cells.map(cell => cell[2]))) {
    const rows = new Map(), formulas = el('table', {});
    const list = t.cells.filter(cell => cell[2] === page);
    let last = 0;
    list.forEach((cell, i) => {
      const [start, end, , row, column, , columnEnd] = cell, text = chars.slice(start - t.start, end - t.start).join('');
      const kind = meets(cell, marks) ? 'words' : c.end > c.start && meets(cell, [c]) ? 'statement' : '';
      const td = el('td', { class: kind, title: columnName(column) + (row + 1) }, kind === 'words' ? el('mark', {}, text) : text);
      if (same(cell, list[i - 1]) || same(cell, list[i + 1])) {
        if (!formulas.rows.length || !same(cell, list[i - 1]) || formulas.rows[formulas.rows.length - 1].cells.length === 3) formulas.append(el('tr', {}));
        formulas.rows[formulas.rows.length - 1].append(td);
        return;
      }
      if (!rows.has(row)) rows.set(row, new Map());
      td.colSpan = columnEnd - column;
      rows.get(row).set(column, td);
      last = Math.max(last, columnEnd);
    });
    const table = el('table', {}, heads(['', ...Array.from({ length: last }, (_, i) => columnName(i))]));
    for (const [row, cells] of [...rows].sort((x, y) => x[0] - y[0])) {
      const line = el('tr', {}, el('th', { scope: 'row' }, row + 1));
      for (let i = 0; i < last; i += cells.has(i) ? cells.get(i).colSpan : 1) line.append(cells.get(i) || el('td'));
      table.append(line);
    }
    if (t.sheets.length > 1 || t.sheets[0] !== '1') box.append(el('h3', {}, t.sheets[page - 1]));
    box.append(table, formulas);
  }
  if (t.end < t.length) box.append(el('p', { class: 'cut' }, 'the rows behind these are not shown …'));
  $('viewer-body').replaceChildren(box);
  const first = box.querySelector('.words') || box.querySelector('.statement');
  if (first) first.scrollIntoView({ block: 'center', inline: 'center' });
  else $('viewer-body').scrollTop = 0;
}

async function showText(c, d, ticket) {
  drawViewerWarnings(0);
  $('page-back').hidden = $('page-on').hidden = true;
  const before = 12000, start = Math.max(0, c.start - before);
  const t = await call('GET', '/documents/' + d.id + '/text?start=' + start + '&end=' + (Math.min(c.end, c.start + 30000) + before));
  if (ticket !== view.ticket) return;
  const chars = Array.from(t.text);
  const marks = c.marks && c.marks.length ? c.marks : c.end > c.start ? [{ start: c.start, end: c.end }] : [];
  if (t.cells && t.cells.length) {
    showSheets(c, t, chars, marks);
    return;
  }
  const kinds = new Uint8Array(chars.length);
  const fill = (from, to, bit) => { for (let i = Math.max(0, from - t.start); i < Math.min(chars.length, to - t.start); i++) kinds[i] |= bit; };
  for (const [from, to] of t.headings) fill(from, to, 1);
  if (c.end > c.start) fill(c.start, c.end, 2);
  for (const m of marks) fill(m.start, m.end, 4);
  const box = el('div', { class: 'text-page' });
  if (t.start > 0) box.append(el('span', { class: 'cut' }, '… the text before this is not shown\n\n'));
  for (let i = 0, j; i < chars.length; i = j) {
    for (j = i; j < chars.length && kinds[j] === kinds[i];) j++;
    const text = chars.slice(i, j).join(''), kind = kinds[i];
    const tag = kind & 4 ? 'mark' : 'span';
    box.append(kind ? el(tag, { class: (kind & 1 ? 'heading ' : '') + (kind & 2 && !(kind & 4) ? 'statement' : '') }, text) : text);
  }
  if (t.end < t.length) box.append(el('span', { class: 'cut' }, '\n\nthe text behind this is not shown …'));
  $('viewer-body').replaceChildren(box);
  const first = box.querySelector('mark');
  if (first) first.scrollIntoView({ block: 'center' });
  else $('viewer-body').scrollTop = 0;
}

function turn(by) {
  if ($('page-back').hidden) return;
  const page = view.page + by;
  if (page < 1 || page > view.pages) return;
  view.page = page;
  showPage().catch(e => $('viewer-body').replaceChildren(el('p', { class: 'page-wait error' }, e.message)));
}
$('page-back').addEventListener('click', () => turn(-1));
$('page-on').addEventListener('click', () => turn(1));
$('viewer-close').addEventListener('click', () => $('viewer').close());
$('viewer').addEventListener('keydown', event => {
  if (event.key === 'PageUp' && event.altKey || event.key === 'ArrowLeft') turn(-1);
  if (event.key === 'PageDown' && event.altKey || event.key === 'ArrowRight') turn(1);
});
$('viewer').addEventListener('click', event => { if (event.target === $('viewer')) $('viewer').close(); });
$('viewer').addEventListener('close', () => { view.ticket++; });

/* ---- tabs ---- */
const tabs = [['tab-ask', 'panel-ask'], ['tab-report', 'panel-report']];
function openTab(i, focus) {
  tabs.forEach(([tab, panel], k) => {
    $(tab).setAttribute('aria-selected', String(k === i));
    $(tab).tabIndex = k === i ? 0 : -1;
    $(panel).hidden = k !== i;
  });
  if (focus) $(tabs[i][0]).focus();
}
tabs.forEach(([tab], i) => {
  $(tab).addEventListener('click', () => openTab(i));
  $(tab).addEventListener('keydown', event => {
    if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') openTab((i + 1) % tabs.length, true);
  });
});

loadSets().then(openAddress).catch(e => note(e.message));
