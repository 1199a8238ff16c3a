// A stand-in for Stripe.js: as much of it as Elements on a page need.
//
//   const stripe = Stripe("pk_test_…");
//   const elements = stripe.elements({ clientSecret });
//   elements.create("payment").mount("#payment-element");
//   await stripe.confirmPayment({ elements, confirmParams: { return_url } });
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
    const answer = await fetch(target, { method, body: method === "GET" ? undefined : form });
    const body = await answer.json();
    if (body.error) throw new ApiError(body.error);
    return body;
  }

  const kindOf = (secret) => (secret.startsWith("seti_") ? "setup_intents" : "payment_intents");
  const idOf = (secret) => secret.split("_secret_")[0];

  // One field with its label, as the Payment Element shows them.
  function field(name, label, placeholder, autocomplete) {
    const wrapper = document.createElement("label");
    wrapper.style.cssText = "display:block;margin:.5rem 0;font:inherit";
    wrapper.textContent = label;
    const input = document.createElement("input");
    input.name = name;
    input.placeholder = placeholder;
    input.autocomplete = autocomplete;
    input.inputMode = "numeric";
    input.style.cssText = "display:block;width:100%;box-sizing:border-box;padding:.5rem;font:inherit";
    wrapper.append(input);
    return { wrapper, input };
  }

  class Element {
    constructor(type) {
      this.type = type;
      this.listeners = {};
      this.number = field("number", "Card number", "4242 4242 4242 4242", "cc-number");
      this.expiry = field("expiry", "Expiration", "MM / YY", "cc-exp");
      this.cvc = field("cvc", "Security code", "CVC", "cc-csc");
    }
    mount(target) {
      const node = typeof target === "string" ? document.querySelector(target) : target;
      if (!node) throw new Error(`The selector ${target} applies to no element on the page`);
      node.replaceChildren(this.number.wrapper, this.expiry.wrapper, this.cvc.wrapper);
      this.number.input.addEventListener("input", () => this.tell("change"));
      queueMicrotask(() => this.tell("ready"));
      return this;
    }
    unmount() {
      for (const part of [this.number, this.expiry, this.cvc]) part.wrapper.remove();
    }
    destroy() {
      this.unmount();
    }
    update() {}
    focus() {
      this.number.input.focus();
    }
    on(event, listener) {
      (this.listeners[event] ??= []).push(listener);
      return this;
    }
    off(event) {
      delete this.listeners[event];
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

  class Elements {
    constructor(options) {
      this.clientSecret = options.clientSecret;
      this.made = {};
    }
    create(type) {
      this.made[type] = new Element(type);
      return this.made[type];
    }
    getElement(type) {
      return this.made[type] ?? null;
    }
    update(options) {
      if (options.clientSecret) this.clientSecret = options.clientSecret;
    }
    async submit() {
      const element = Object.values(this.made)[0];
      if (!element || !element.number.input.value) {
        const message = "Your card number is incomplete.";
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
        "position:fixed;inset:5% 10%;width:80%;height:90%;border:2px solid #888;background:#fff;z-index:9999";
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
      try {
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
      } catch (problem) {
        if (problem instanceof ApiError) return { error: problem.error };
        throw problem;
      }
    }

    return {
      elements: (options = {}) => new Elements(options),
      confirmPayment: (options) => confirm("payment_intent", options),
      confirmSetup: (options) => confirm("setup_intent", options),
      retrievePaymentIntent: async (secret) => ({ paymentIntent: await retrieve(secret) }),
      retrieveSetupIntent: async (secret) => ({ setupIntent: await retrieve(secret) }),
      handleNextAction: async ({ clientSecret }) => {
        const intent = await handle(clientSecret);
        const result = clientSecret.startsWith("seti_") ? "setupIntent" : "paymentIntent";
        return failed(intent) ? { error: failed(intent) } : { [result]: intent };
      },
    };
  };
  window.Stripe.version = "sandbox";
})();
