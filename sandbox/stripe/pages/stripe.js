// A stand-in for Stripe.js: as much of it as Elements on a page need.
//
//   const stripe = Stripe("pk_test_…");
//   const elements = stripe.elements({ clientSecret });
//   elements.create("payment").mount("#payment-element");
//   await stripe.confirmPayment({ elements, confirmParams: { return_url } });
//
// As Stripe.js it rejects with nothing: whatever goes wrong is an `error` in what it resolves to.
//
// The card is sent to the sandbox as Stripe.js sends it to Stripe: a payment method first, then
// the confirmation of the intent with its client secret. (Stripe: Stripe.js reference)
(() => {
  "use strict";
  const API = "__API__";

  class ApiError extends Error {
    constructor(error) {
      super(error.message);
      this.error = error;
    }
  }

  async function call(key, method, path, fields) {
    const form = new URLSearchParams({ ...fields, key });
    const target = method === "GET" ? `${API}${path}?${form}` : `${API}${path}`;
    let body;
    try {
      const answer = await fetch(target, { method, body: method === "GET" ? undefined : form });
      body = await answer.json();
    } catch {
      const message = "We are experiencing issues connecting to our payments provider.";
      throw new ApiError({ type: "api_connection_error", message });
    }
    if (body.error) throw new ApiError(body.error);
    return body;
  }

  // What `work` comes to, or the error that the API answered it with.
  async function resolved(work) {
    try {
      return await work();
    } catch (problem) {
      if (problem instanceof ApiError) return { error: problem.error };
      throw problem;
    }
  }

  const kindOf = (secret) => (secret.startsWith("seti_") ? "setup_intents" : "payment_intents");
  const idOf = (secret) => secret.split("_secret_")[0];

  // The colours of the appearance API that are used here. (Stripe: Elements Appearance API)
  const COLOURS = {
    stripe: { colorBackground: "#ffffff", colorText: "#30313d", colorDanger: "#c0123c" },
    night: { colorBackground: "#30313d", colorText: "#ffffff", colorDanger: "#fe87a1" },
  };

  function look(appearance = {}) {
    const defaults = COLOURS[appearance.theme] ?? COLOURS.stripe;
    return { borderRadius: "5px", ...defaults, ...appearance.variables };
  }

  // One field with its label, as the Payment Element shows them.
  function field(name, label, placeholder, autocomplete) {
    const wrapper = document.createElement("label");
    wrapper.textContent = label;
    const input = document.createElement("input");
    input.name = name;
    input.placeholder = placeholder;
    input.autocomplete = autocomplete;
    input.inputMode = "numeric";
    wrapper.append(input);
    return { wrapper, input };
  }

  // Digits as they are written on cards, and dates as they are printed there.
  const inFours = (text) => text.replace(/\D/g, "").slice(0, 19).replace(/(.{4})(?=.)/g, "$1 ");
  const asDate = (text) => text.replace(/\D/g, "").slice(0, 4).replace(/^(..)(?=.)/, "$1 / ");

  class Element {
    constructor(type, appearance) {
      this.type = type;
      this.listeners = {};
      this.number = field("number", "Card number", "1234 1234 1234 1234", "cc-number");
      this.expiry = field("expiry", "Expiration date", "MM / YY", "cc-exp");
      this.cvc = field("cvc", "Security code", "CVC", "cc-csc");
      this.message = document.createElement("p");
      this.message.role = "alert";
      this.parts = [this.number, this.expiry, this.cvc];
      this.wear(appearance);
      this.number.input.addEventListener("input", () => {
        this.number.input.value = inFours(this.number.input.value);
        this.complain("");
        this.tell("change");
      });
      this.expiry.input.addEventListener("input", (event) => {
        // What is deleted should not come back at once.
        if (event.inputType?.startsWith("delete")) return;
        this.expiry.input.value = asDate(this.expiry.input.value);
      });
    }
    wear(appearance) {
      const style = look(appearance);
      this.style = style;
      for (const part of this.parts) {
        const wide = part === this.number ? "grid-column:1/-1;" : "";
        part.wrapper.style.cssText = `${wide}display:block;min-width:0;font:inherit;font-size:.875rem;color:${style.colorText}`;
        part.input.style.cssText = `display:block;width:100%;box-sizing:border-box;margin-top:.25rem;padding:.75rem;border:1px solid color-mix(in srgb, ${style.colorText} 45%, ${style.colorBackground});border-radius:${style.borderRadius};background:${style.colorBackground};color:inherit;font:inherit;font-size:1rem`;
      }
      this.message.style.cssText = `grid-column:1/-1;margin:0;font-size:.875rem;color:${style.colorDanger}`;
    }
    complain(message) {
      this.message.textContent = message;
      this.message.hidden = !message;
      this.number.input.ariaInvalid = message ? "true" : null;
    }
    mount(target) {
      const node = typeof target === "string" ? document.querySelector(target) : target;
      if (!node) throw new Error(`The selector ${target} applies to no element on the page`);
      node.style.cssText = "display:grid;grid-template-columns:1fr 1fr;gap:.75rem";
      this.complain("");
      node.replaceChildren(...this.parts.map((part) => part.wrapper), this.message);
      queueMicrotask(() => this.tell("ready"));
      return this;
    }
    unmount() {
      for (const part of this.parts) part.wrapper.remove();
      this.message.remove();
    }
    destroy() {
      this.unmount();
    }
    update() {}
    collapse() {}
    blur() {}
    clear() {
      for (const part of this.parts) part.input.value = "";
    }
    focus() {
      this.number.input.focus();
    }
    on(event, listener) {
      (this.listeners[event] ??= []).push(listener);
      return this;
    }
    once(event, listener) {
      const told = (about) => {
        this.off(event, told);
        listener(about);
      };
      return this.on(event, told);
    }
    off(event, listener) {
      const kept = (known) => listener !== undefined && known !== listener;
      this.listeners[event] = (this.listeners[event] ?? []).filter(kept);
      return this;
    }
    tell(event) {
      const complete = this.number.input.value.replace(/\s/g, "").length >= 15;
      const told = { elementType: this.type, complete, empty: !this.number.input.value };
      for (const listener of this.listeners[event] ?? []) listener(told);
    }
    card() {
      const [month, year] = this.expiry.input.value.split("/").map((part) => part.trim());
      const card = { type: "card", "card[number]": this.number.input.value.replace(/\s/g, "") };
      if (month && year) {
        card["card[exp_month]"] = String(Number(month));
        card["card[exp_year]"] = year.length === 2 ? `20${year}` : year;
      }
      if (this.cvc.input.value) card["card[cvc]"] = this.cvc.input.value;
      return card;
    }
  }

  // With a client secret from the start, or with none until the confirmation brings one.
  // (Stripe: Collect payment details before creating an Intent)
  class Elements {
    constructor(options) {
      this.clientSecret = options.clientSecret;
      this.appearance = options.appearance;
      this.made = {};
    }
    create(type) {
      this.made[type] = new Element(type, this.appearance);
      return this.made[type];
    }
    getElement(type) {
      return this.made[typeof type === "string" ? type : "payment"] ?? null;
    }
    update(options) {
      if (options.clientSecret) this.clientSecret = options.clientSecret;
      if (options.appearance) {
        this.appearance = options.appearance;
        for (const element of Object.values(this.made)) element.wear(options.appearance);
      }
    }
    async fetchUpdates() {
      return {};
    }
    async submit() {
      const element = Object.values(this.made)[0];
      if (!element || element.number.input.value.replace(/\s/g, "").length < 15) {
        const message = "Your card number is incomplete.";
        element?.complain(message);
        element?.focus();
        return { error: { type: "validation_error", code: "incomplete_number", message } };
      }
      return { selectedPaymentMethod: "card" };
    }
  }

  // Shows the bank's question in a frame over the page until it is answered.
  function ask(url) {
    return new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.src = url;
      frame.title = "3-D Secure";
      frame.style.cssText =
        "position:fixed;inset:0;margin:auto;width:min(92vw,30rem);height:min(90vh,24rem);border:0;" +
        "border-radius:12px;background:Canvas;box-shadow:0 0 0 200vmax #0008;z-index:2147483647";
      const answered = (event) => {
        if (event.data !== "3ds-complete") return;
        removeEventListener("message", answered);
        frame.remove();
        resolve();
      };
      addEventListener("message", answered);
      document.body.append(frame);
    });
  }

  window.Stripe = function Stripe(key) {
    async function retrieve(secret) {
      return call(key, "GET", `/v1/${kindOf(secret)}/${idOf(secret)}`, { client_secret: secret });
    }

    async function handle(secret) {
      const intent = await retrieve(secret);
      if (intent.status !== "requires_action") return intent;
      const action = intent.next_action;
      await ask(action.use_stripe_sdk?.stripe_js ?? action.redirect_to_url.url);
      return retrieve(secret);
    }

    const failed = (intent) => intent.last_payment_error ?? intent.last_setup_error;

    async function confirm(name, options) {
      const { elements, confirmParams = {}, redirect = "always" } = options;
      const secret = options.clientSecret ?? elements.clientSecret;
      const filled = await elements.submit();
      if (filled.error) return { error: filled.error };
      const card = Object.values(elements.made)[0].card();
      const method = await call(key, "POST", "/v1/payment_methods", card);
      await call(key, "POST", `/v1/${kindOf(secret)}/${idOf(secret)}/confirm`, {
        client_secret: secret,
        payment_method: method.id,
      });
      const intent = await handle(secret);
      if (failed(intent)) return { error: failed(intent) };
      if (redirect === "always" && confirmParams.return_url) {
        const target = new URL(confirmParams.return_url);
        target.searchParams.set(name, intent.id);
        target.searchParams.set(`${name}_client_secret`, secret);
        target.searchParams.set("redirect_status", "succeeded");
        location.assign(target);
        return new Promise(() => {});
      }
      return name === "setup_intent" ? { setupIntent: intent } : { paymentIntent: intent };
    }

    async function createPaymentMethod({ elements }) {
      const card = Object.values(elements.made)[0].card();
      return { paymentMethod: await call(key, "POST", "/v1/payment_methods", card) };
    }

    async function handleNextAction({ clientSecret }) {
      const intent = await handle(clientSecret);
      const result = clientSecret.startsWith("seti_") ? "setupIntent" : "paymentIntent";
      return failed(intent) ? { error: failed(intent) } : { [result]: intent };
    }

    // What belongs to the single card fields of old is named, for whoever asks whether it is
    // there, but not played.
    function missing() {
      throw new Error("The stand-in for Stripe.js has the Payment Element only.");
    }

    return {
      createPaymentMethod: (options) => resolved(() => createPaymentMethod(options)),
      createToken: missing,
      confirmCardPayment: missing,
      elements: (options = {}) => new Elements(options),
      confirmPayment: (options) => resolved(() => confirm("payment_intent", options)),
      confirmSetup: (options) => resolved(() => confirm("setup_intent", options)),
      retrievePaymentIntent: (secret) =>
        resolved(async () => ({ paymentIntent: await retrieve(secret) })),
      retrieveSetupIntent: (secret) =>
        resolved(async () => ({ setupIntent: await retrieve(secret) })),
      handleNextAction: (options) => resolved(() => handleNextAction(options)),
    };
  };
  window.Stripe.version = "sandbox";
})();
