// The small page of the sandbox: as much as a person needs to see a subscription live and end.
const at = (id) => document.getElementById(id);
const API = "/api/payments";

async function call(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const found = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(found.detail ?? answer.statusText);
  return found;
}

// Do something a person asked for, then show what is.
async function act(doing) {
  at("problem").hidden = true;
  try {
    await doing();
    await show();
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  }
}

function list(element, facts) {
  element.replaceChildren();
  for (const [name, value] of Object.entries(facts)) {
    const term = document.createElement("dt");
    const description = document.createElement("dd");
    term.textContent = name;
    description.textContent = value ?? "–";
    element.append(term, description);
  }
}

const money = (amount, currency) =>
  new Intl.NumberFormat("en", { style: "currency", currency }).format(amount / 100);

let subscription = null;

async function showPlans() {
  const { plans } = await call("GET", `${API}/config`);
  at("plans").replaceChildren();
  for (const offer of plans.flatMap(({ plan, prices }) => prices.map((p) => ({ plan, ...p })))) {
    const button = document.createElement("button");
    const price = money(offer.amount, offer.currency);
    button.textContent = `${offer.plan}: ${price} a ${offer.interval}`;
    button.disabled = !offer.priceId;
    button.addEventListener("click", () =>
      act(async () => {
        const { sessionUrl } = await call("POST", `${API}/create-checkout-session`, {
          priceId: offer.priceId,
          successUrl: `${location.origin}/?session_id={CHECKOUT_SESSION_ID}`,
          cancelUrl: `${location.origin}/`,
        });
        location.assign(sessionUrl);
      }),
    );
    at("plans").append(button);
  }
}

async function show() {
  const { user } = await call("GET", "/session");
  const status = await call("GET", "/sandbox/status");
  at("now").textContent = new Date(status.stripe.now).toUTCString();
  at("panel").href = status.stripe.controlPanel;
  at("nobody").hidden = user !== null;
  at("signed-in").hidden = user === null;
  at("sign-out").hidden = user === null;
  if (user === null) return;
  if (![...at("user").options].some((option) => option.value === user.id)) {
    at("user").add(new Option(user.name, user.id));
  }
  at("user").value = user.id;
  subscription = await call("GET", `${API}/subscription`);
  list(at("subscription"), {
    status: subscription.status,
    access: subscription.hasAccess ? "yes" : "no",
    plan: subscription.plan && `${subscription.plan}, billed every ${subscription.interval}`,
    "trial ends": subscription.trialEndDate,
    "paid until": subscription.currentPeriodEnd,
    "will end": subscription.cancelAt,
    ended: subscription.endDate,
  });
  const running = subscription.id !== null && subscription.endDate === null;
  at("plans").hidden = running && subscription.status !== "incomplete";
  at("manage").hidden = subscription.id === null;
  at("cancel").hidden = !running || subscription.cancelAt !== null;
  at("resume").hidden = !running || subscription.cancelAt === null;
  const believed = status.usersView.subscriptions.map((s) => [
    s.id,
    `${s.status} (version ${s.version})`,
  ]);
  list(at("believed"), {
    access: status.usersView.hasAccess ? "yes" : "no",
    ...Object.fromEntries(believed),
  });
}

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  act(() => call("POST", "/session", { user: at("user").value }));
});
at("sign-out").addEventListener("click", () => act(() => call("DELETE", "/session")));
at("clock").addEventListener("submit", (event) => {
  event.preventDefault();
  act(() => call("POST", "/sandbox/clock", { days: Number(at("days").value) }));
});
at("portal").addEventListener("click", () =>
  act(async () => {
    const body = { returnUrl: `${location.origin}/` };
    const { sessionUrl } = await call("POST", `${API}/create-portal-session`, body);
    location.assign(sessionUrl);
  }),
);
at("cancel").addEventListener("click", () =>
  act(() => call("DELETE", `${API}/subscriptions/${subscription.id}`)),
);
at("resume").addEventListener("click", () =>
  act(() => call("POST", `${API}/subscriptions/${subscription.id}/resume`)),
);

await act(async () => {
  for (const user of await call("GET", "/session/users")) {
    at("user").add(new Option(user.name, user.id));
  }
  at("user").add(new Option("Somebody new", "new"));
  await showPlans();
  const session = new URLSearchParams(location.search).get("session_id");
  if (session !== null) {
    history.replaceState(null, "", "/");
    // The browser may be back before the webhook was.
    await call("POST", `${API}/checkout-sessions/${session}/sync`);
  }
});
// Webhooks and messages take their moment.
setInterval(() => document.hidden || show().catch(() => {}), 2000);
