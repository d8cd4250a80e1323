// The pages work without this script; with it they follow what happens and keep their place while doing so.
const pauseMs = 500
const live = document.querySelector('[data-live]')
const seen = new Map()

/** Replaces one part of the page when it has changed, keeping focus and what is being typed. */
function replace(id, markup) {
  const place = document.getElementById(id)
  if (!place || seen.get(id) === markup) return
  const first = !seen.has(id)
  seen.set(id, markup)
  const active = place.contains(document.activeElement) ? document.activeElement : undefined
  const typed = [...place.querySelectorAll('input')].filter((input) => input.value !== input.defaultValue)
  const known = new Set([...place.querySelectorAll('li[id]')].map((item) => item.id))
  // Markup of our own server, in which every value is escaped.
  place.innerHTML = markup
  for (const { id: name, value } of typed) {
    const input = document.getElementById(name)
    if (input) input.value = value
  }
  if (active?.id) document.getElementById(active.id)?.focus({ preventScroll: true })
  if (first) return
  for (const item of place.querySelectorAll('li[id]')) if (!known.has(item.id)) item.classList.add('fresh')
}

async function refresh() {
  try {
    const response = await fetch(live.dataset.live, { headers: { Accept: 'application/json' } })
    if (!response.ok) return
    for (const [id, markup] of Object.entries(await response.json())) replace(id, markup)
  } catch {
    // The shop is being restarted; the next look finds it again.
  }
}

async function submit(form) {
  const buttons = form.querySelectorAll('button')
  const body = new URLSearchParams(new FormData(form))
  for (const button of buttons) button.disabled = true
  // What was typed has been sent; the next suggestion may take its place.
  for (const input of form.querySelectorAll('input')) input.defaultValue = input.value
  try {
    await fetch(form.action, { method: 'POST', body })
  } finally {
    // Even when the answer looks the same as before, the button must come back.
    seen.delete('actions')
    await refresh()
  }
}

document.addEventListener('submit', (event) => {
  const form = event.target
  if (form.matches('[data-live-form]')) {
    event.preventDefault()
    void submit(form)
  } else if (form.dataset.busy) {
    const button = form.querySelector('button')
    button.textContent = form.dataset.busy
    button.setAttribute('aria-busy', 'true')
  }
})

async function follow() {
  await refresh()
  setTimeout(() => void follow(), document.hidden ? pauseMs * 4 : pauseMs)
}

if (live) void follow()
