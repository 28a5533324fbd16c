// The live page: signs in with the token of the fragment (#token=..., which no server sees), hears /ws, shows it.
// Everything that came from outside is set as text, never as markup.
const $ = (id) => document.getElementById(id)
const token = new URLSearchParams(location.hash.slice(1)).get('token')
const conversations = new Map() // id -> {id, name, last, at, unread, messages: Map(messageId -> message)}
const ticks = { queued: '… queued', accepted: '… accepted', sent: '✓ sent', delivered: '✓✓ delivered', read: '✓✓ read', played: '✓✓ played', failed: '⚠ failed' }
let chosen = null, offset = null, tries = 0

function conversation(id) {
  if (!conversations.has(id)) conversations.set(id, { id, name: id, last: '', at: '', unread: 0, messages: new Map() })
  return conversations.get(id)
}

// What each event does. An outbound message is announced by its conversation; its receipts name it afterwards.
const handlers = {
  new_message(d) {
    const c = conversation(d.conversationId)
    Object.assign(c, { name: d.from_name || d.from || c.name, last: d.message || `[${d.type || 'media'}]`, at: d.timestamp })
    c.messages.set(d.messageId, { text: c.last, at: d.timestamp })
    if (chosen !== c.id) c.unread++
  },
  conversation_update(d) {
    const c = conversation(d.conversationId)
    if (d.direction === 'outbound' && d.lastMessageAt > c.at) c.messages.set(d.lastMessageAt, { text: d.lastMessage, at: d.lastMessageAt, out: true, status: 'queued' })
    Object.assign(c, { last: d.lastMessage || c.last, at: d.lastMessageAt || c.at })
    if (d.unread !== undefined) c.unread = chosen === c.id ? 0 : d.unread
  },
  status_update(d) {
    const sent = [...conversation(d.conversationId).messages.values()].filter((m) => m.out)
    const m = sent.find((x) => x.id === d.messageId) ?? sent.find((x) => !x.id)
    if (m) Object.assign(m, { id: d.messageId, status: d.status })
  },
  metrics_update(d) {
    $('figures').textContent = `${d.activeConversations} active · ${d.waitingConversations} waiting · ` +
      `${d.totalMessagesToday} messages today · answered in ${Math.round(d.avgResponseTime)} s`
  },
}

function element(name, text, className) {
  const e = document.createElement(name)
  if (text !== undefined) e.textContent = text
  if (className) e.className = className
  return e
}

const clock = (iso) => (iso ? new Date(iso).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) : '')

function row(c) {
  const button = element('button')
  button.append(element('b', c.name), element('small', clock(c.at)), element('small', c.last))
  if (c.unread) button.append(Object.assign(element('span', c.unread, 'unread'), { ariaLabel: `${c.unread} unread` }))
  button.setAttribute('aria-current', c.id === chosen)
  button.dataset.id = c.id
  button.onclick = () => { chosen = c.id; c.unread = 0; draw() }
  const li = element('li')
  li.append(button)
  return li
}

function bubble(m) {
  const li = element('li', m.text, m.out ? 'out' : '')
  li.append(element('small', `${clock(m.at)} ${m.out ? ticks[m.status] : ''}`, m.status))
  return li
}

let drawing = false
function draw() {
  if (drawing) return
  drawing = true
  requestAnimationFrame(() => {
    drawing = false
    const focused = document.activeElement?.dataset?.id
    const sorted = [...conversations.values()].sort((a, b) => (a.at < b.at ? 1 : -1))
    chosen ??= sorted[0]?.id ?? null
    $('list').replaceChildren(...sorted.map(row))
    if (focused) $('list').querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus()
    const shown = [...(conversations.get(chosen)?.messages.values() ?? [])].map(bubble)
    $('messages').replaceChildren(...(shown.length ? shown : [element('li', 'Messages appear here as they come.', 'empty')]))
    $('messages').lastElementChild.scrollIntoView({ block: 'nearest' })
  })
}

const show = (state, text) => { $('status').dataset.state = state; $('status').textContent = text }

function connect() {
  const url = new URL('ws', location.href)
  url.protocol = url.protocol.replace('http', 'ws')
  url.hash = ''
  const socket = new WebSocket(url)
  socket.onopen = () => socket.send(JSON.stringify({ type: 'auth', token, ...(offset && { offset }) }))
  socket.onmessage = ({ data }) => {
    const m = JSON.parse(data)
    if (m.offset) offset = m.offset
    if (m.type === 'ready') { tries = 0; show('live', 'Live') }
    if (m.type === 'event') { handlers[m.event]?.(m.data); draw() }
  }
  socket.onclose = ({ code }) => {
    if (code === 4401) return show('out', 'Signed out: the token was refused')
    show('wait', 'Reconnecting …')
    setTimeout(connect, Math.min(5000, 500 * 2 ** tries++) * (0.5 + Math.random() / 2))
  }
}

draw()
if (token) connect()
else show('out', 'Open this page with #token=… at the end of its address')
