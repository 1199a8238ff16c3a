import { act, fireEvent, screen, waitFor } from "@testing-library/react";
import type { UserEvent } from "@testing-library/user-event";
import { afterEach, describe, expect, test, vi } from "vitest";

import { SubscriptionManagement, SubscriptionUpgradeModal, type Unsettled } from "../src/index";
import * as given from "./fixtures";
import {
  type Asked,
  button,
  expectAccessible,
  inTurn,
  refuse,
  show,
  silence,
  unreachable,
  wire,
} from "./house";

const SUBSCRIPTION = "GET /api/payments/subscription";
const CHANGE = `/api/payments/subscriptions/${given.SUBSCRIPTION_ID}`;
const SUBSCRIBE = "POST /api/payments/subscriptions";
const METHODS = "POST /v1/payment_methods";
const SETUP = "/v1/setup_intents/seti_1";
const PAYMENT = "/v1/payment_intents/pi_1";
const CARD = "4242 4242 4242 4242";

const BEGUN = {
  subscriptionId: given.SUBSCRIPTION_ID,
  status: "incomplete",
  clientSecret: "seti_1_secret_2",
  intentType: "setup",
};
const TO_PAY = { ...BEGUN, clientSecret: "pi_1_secret_2", intentType: "payment" };
const DECLINED = {
  type: "card_error",
  code: "card_declined",
  decline_code: "insufficient_funds",
  message: "Your card has insufficient funds.",
  payment_method: { card: { brand: "visa", last4: "9995" } },
};
const QUESTION = {
  id: "seti_1",
  status: "requires_action",
  next_action: { type: "use_stripe_sdk", use_stripe_sdk: { stripe_js: "about:blank" } },
};

/** Stripe takes whatever card it is given. */
const STRIPE = {
  [METHODS]: { id: "pm_1" },
  [`POST ${SETUP}/confirm`]: { id: "seti_1", status: "succeeded" },
  [`GET ${SETUP}`]: { id: "seti_1", status: "succeeded" },
  [`POST ${PAYMENT}/confirm`]: { id: "pi_1", status: "succeeded" },
  [`GET ${PAYMENT}`]: { id: "pi_1", status: "succeeded" },
};

function open(returnUrl?: string) {
  const onClose = vi.fn<(unsettled: Unsettled | null) => void>();
  const onChanged = vi.fn();
  return {
    onClose,
    onChanged,
    ...show(
      <SubscriptionUpgradeModal
        open
        onClose={onClose}
        onChanged={onChanged}
        returnUrl={returnUrl}
      />,
    ),
  };
}

async function toPayment(user: UserEvent) {
  await user.click(await button("Continue to payment"));
  return screen.findByLabelText("Card number");
}

async function pay(user: UserEvent, label: string | RegExp = "Start free trial", card = CARD) {
  await user.type(await toPayment(user), card);
  await user.click(await button(label));
}

async function toReview(user: UserEvent) {
  await user.click(await screen.findByRole("radio", { name: /Event Organizer/ }));
  await user.click(await button("Review change"));
}

async function change(user: UserEvent) {
  await toReview(user);
  await user.click(await button("Pay $3.36 and change"));
}

const to = (asked: Asked[], method: string, path: string) =>
  asked.filter((one) => one.method === method && one.path === path);

describe("choosing a plan", () => {
  test("shows what is for sale, by month and by year, and what a year saves", async () => {
    wire();
    const { user } = open();
    const general = await screen.findByRole("radio", { name: /General \$10 a month/ });
    expect(general).toBeChecked();
    expect(screen.getByRole("radio", { name: /Event Organizer \$15 a month/ })).not.toBeChecked();
    await user.click(screen.getByRole("radio", { name: "Yearly Save 17%" }));
    expect(
      screen.getByRole("radio", { name: /General \$100 a year You save \$20 a year/ }),
    ).toBeChecked();
    expect(screen.getByText("You save $30 a year.")).toBeInTheDocument();
    await expectAccessible();
  });

  test("says the terms of the trial in plain words", async () => {
    wire();
    open();
    expect(await screen.findByText(/Free for 180 days/)).toHaveTextContent(
      "Free for 180 days. We save your card, but take nothing today. The first $10 is due on January 11, 2027, then $10 a month until you cancel. Cancel before that day and you pay nothing.",
    );
  });

  test("promises no trial to who has had one", async () => {
    wire({ [SUBSCRIPTION]: { ...given.NONE, trialAvailable: false } });
    open();
    expect(await screen.findByText(/You pay \$10 a month, starting today/)).toBeInTheDocument();
    expect(screen.queryByText(/Free for/)).toBeNull();
  });

  test("marks the present plan and does not change to it", async () => {
    wire({ [SUBSCRIPTION]: given.ACTIVE });
    const { user } = open();
    const general = await screen.findByRole("radio", { name: /General Current plan/ });
    expect(general).toBeChecked();
    const review = await button("Review change");
    expect(review).toHaveAttribute("aria-disabled", "true");
    await user.click(review);
    expect(screen.getByRole("dialog", { name: "Choose your plan" })).toBeInTheDocument();
    await user.click(screen.getByRole("radio", { name: /Event Organizer/ }));
    expect(review).not.toHaveAttribute("aria-disabled");
  });

  test("while the plans are loaded, says so", async () => {
    wire({ "GET /api/payments/config": silence });
    open();
    expect(await screen.findByText("Loading the plans")).toBeInTheDocument();
    await expectAccessible();
  });

  test("where they cannot be loaded, says why and tries again when asked to", async () => {
    wire({
      "GET /api/payments/config": inTurn(
        refuse(given.problem(500, "internal-error")),
        given.CONFIG,
      ),
    });
    const { user } = open();
    await user.click(await button("Try again"));
    expect(await screen.findByRole("radio", { name: /General/ })).toBeChecked();
  });

  test("where nothing is for sale yet, says so", async () => {
    const plans = given.CONFIG.plans.map((plan) => ({
      ...plan,
      prices: plan.prices.map((price) => ({ ...price, priceId: null })),
    }));
    wire({ "GET /api/payments/config": { ...given.CONFIG, plans } });
    open();
    expect(await screen.findByText("There is nothing to choose from yet")).toBeInTheDocument();
  });

  test("of a subscription that ends asks to resume it first", async () => {
    wire({ [SUBSCRIPTION]: given.ENDING });
    open();
    expect(await screen.findByText("Your subscription is set to end")).toBeInTheDocument();
  });

  test.each([
    ["paused", "Your subscription is paused"],
    ["on_hold", "The plan can’t be changed at the moment"],
  ])("of one that is %s says why it can’t be changed", async (status, words) => {
    wire({ [SUBSCRIPTION]: given.without(status) });
    open();
    expect(await screen.findByText(words)).toBeInTheDocument();
    expect(screen.queryByRole("radio")).toBeNull();
  });

  test("of one that is owed for leads to the portal, and from there to where it should", async () => {
    const asked = wire({
      [SUBSCRIPTION]: given.PAST_DUE,
      "POST /api/payments/create-portal-session": { sessionUrl: "https://portal.example/1" },
    });
    const { user, navigate } = open("https://app.example/account");
    await user.click(await button("Settle it now"));
    await waitFor(() => expect(navigate).toHaveBeenCalledWith("https://portal.example/1"));
    expect(asked.at(-1)?.body).toEqual({ returnUrl: "https://app.example/account" });
  });
});

describe("the dialog", () => {
  test("has the focus, keeps it, and closes with Escape", async () => {
    wire();
    const { user, onClose } = open();
    expect(screen.getByRole("heading", { name: "Choose your plan" })).toHaveFocus();
    const last = await button("Continue to payment");
    await user.tab({ shift: true });
    expect(last).toHaveFocus();
    await user.tab();
    expect(await button("Close")).toHaveFocus();
    await user.keyboard("{Escape}");
    expect(onClose).toHaveBeenCalledOnce();
  });

  test("closes with a click beside it, not in it", async () => {
    wire();
    const { user, onClose } = open();
    const dialog = screen.getByRole("dialog");
    await user.click(dialog);
    expect(onClose).not.toHaveBeenCalled();
    fireEvent.mouseDown(dialog.parentElement ?? dialog);
    expect(onClose).toHaveBeenCalledOnce();
  });

  test("says each step's title to who cannot see it", async () => {
    wire();
    const { user } = open();
    await toPayment(user);
    expect(screen.getByRole("heading", { name: "Payment details" })).toHaveFocus();
  });

  test("that is not open asks for nothing", () => {
    const asked = wire();
    show(<SubscriptionUpgradeModal open={false} onClose={vi.fn()} />);
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(asked).toEqual([]);
  });
});

describe("paying", () => {
  test("begins nothing before the buyer confirms", async () => {
    const asked = wire();
    const { user } = open();
    await toPayment(user);
    expect(screen.getByText("General, $10 a month")).toBeInTheDocument();
    expect(screen.getByText("$0.00")).toBeInTheDocument();
    expect(asked.every(({ method }) => method === "GET")).toBe(true);
    await expectAccessible();
  });

  test("starts the trial, once the server has confirmed it", async () => {
    const asked = wire({
      ...STRIPE,
      [SUBSCRIPTION]: inTurn(given.NONE, given.INCOMPLETE, given.TRIALING),
      [SUBSCRIBE]: BEGUN,
    });
    const { user, onChanged } = open();
    await pay(user);
    expect(await screen.findByText("Confirming…")).toBeInTheDocument();
    expect(await button("Close")).toBeInTheDocument();
    expect(onChanged).not.toHaveBeenCalled();
    expect(
      await screen.findByText(
        "Your free trial of General runs until November 26, 2026.",
        {},
        { timeout: 5000 },
      ),
    ).toBeInTheDocument();
    expect(onChanged).toHaveBeenCalledExactlyOnceWith(given.TRIALING);
    expect(to(asked, "POST", "/api/payments/subscriptions")[0]?.body).toEqual({
      priceId: "price_general_monthly",
    });
    await expectAccessible();
  });

  test("sends no card to our server", async () => {
    const asked = wire({
      ...STRIPE,
      [SUBSCRIPTION]: inTurn(given.NONE, given.TRIALING),
      [SUBSCRIBE]: BEGUN,
    });
    const { user } = open();
    await pay(user);
    await screen.findByText(/Your free trial of General runs/);
    const stripe = asked.filter(({ path }) => path.startsWith("/v1/"));
    const ours = asked.filter(({ path }) => path.startsWith("/api/"));
    expect(JSON.stringify(stripe)).toContain("4242424242424242");
    expect(ours.length).toBeGreaterThan(0);
    expect(JSON.stringify(ours).replaceAll(" ", "")).not.toContain("42424242");
  });

  test("pays at once where there is no trial", async () => {
    const asked = wire({
      ...STRIPE,
      [SUBSCRIPTION]: inTurn({ ...given.NONE, trialAvailable: false }, given.ACTIVE),
      [SUBSCRIBE]: TO_PAY,
    });
    const { user } = open();
    await pay(user, "Pay $10.00 and subscribe");
    expect(await screen.findByText("You’re on General now. Thank you!")).toBeInTheDocument();
    expect(to(asked, "POST", `${PAYMENT}/confirm`)).toHaveLength(1);
  });

  test("with a credit that covers it confirms nothing at Stripe", async () => {
    const asked = wire({
      [SUBSCRIPTION]: inTurn({ ...given.NONE, trialAvailable: false }, given.ACTIVE),
      [SUBSCRIBE]: { ...BEGUN, status: "active", clientSecret: null, intentType: null },
    });
    const { user } = open();
    await pay(user, /^Pay \$/);
    expect(await screen.findByText("You’re on General now. Thank you!")).toBeInTheDocument();
    expect(asked.some(({ path }) => path.startsWith("/v1/"))).toBe(false);
  });

  test("with a card that is not complete asks nobody", async () => {
    const asked = wire();
    const { user } = open();
    await pay(user, "Start free trial", "4242");
    expect(await screen.findByText("Please check your card details")).toBeInTheDocument();
    expect(asked.every(({ method }) => method === "GET")).toBe(true);
    await expectAccessible();
    await user.type(screen.getByLabelText("Card number"), "4");
    expect(screen.queryByText("Please check your card details")).toBeNull();
  });

  test("with a card that is declined says which one and what to do; another one is taken", async () => {
    const asked = wire({
      ...STRIPE,
      [SUBSCRIPTION]: inTurn(given.NONE, given.TRIALING),
      [SUBSCRIBE]: BEGUN,
      [`POST ${SETUP}/confirm`]: inTurn({ error: DECLINED }, { id: "seti_1", status: "succeeded" }),
    });
    const { user } = open();
    await pay(user, "Start free trial", "4000 0000 0000 9995");
    const alert = await screen.findByRole("alert", { name: "" });
    expect(alert).toHaveTextContent("Your Visa card ending in 9995 was declined");
    expect(alert).toHaveTextContent(/isn’t enough money/);
    expect(alert).toHaveTextContent("You have not been charged.");
    await expectAccessible();
    const number = screen.getByLabelText("Card number");
    await user.clear(number);
    await user.type(number, CARD);
    await user.click(await button("Start free trial"));
    expect(await screen.findByText(/Your free trial of General runs/)).toBeInTheDocument();
    expect(to(asked, "POST", "/api/payments/subscriptions")).toHaveLength(2);
  });

  test("with a card that wants its holder asks the bank's question, and goes on", async () => {
    wire({
      ...STRIPE,
      [SUBSCRIPTION]: inTurn(given.NONE, given.TRIALING),
      [SUBSCRIBE]: BEGUN,
      [`GET ${SETUP}`]: inTurn(QUESTION, { id: "seti_1", status: "succeeded" }),
    });
    const { user, onClose } = open();
    await pay(user);
    expect(await screen.findByTitle("3-D Secure")).toBeInTheDocument();
    await user.keyboard("{Escape}");
    expect(onClose).not.toHaveBeenCalled();
    act(() => void dispatchEvent(new MessageEvent("message", { data: "3ds-complete" })));
    expect(await screen.findByText(/Your free trial of General runs/)).toBeInTheDocument();
  });

  test("names to the bank this page, without what an earlier return has left in it", async () => {
    wire({ ...STRIPE, [SUBSCRIPTION]: inTurn(given.NONE, given.TRIALING), [SUBSCRIBE]: BEGUN });
    history.replaceState(null, "", "/?redirect_status=failed");
    const asked: unknown[] = [];
    const stripe = (key: string) => {
      const made = window.Stripe?.(key) ?? null;
      const { confirmSetup } = made as unknown as { confirmSetup: (options: object) => object };
      Object.assign(made ?? {}, {
        confirmSetup: (options: { confirmParams: object }) => {
          asked.push(options.confirmParams);
          return confirmSetup(options);
        },
      });
      return Promise.resolve(made);
    };
    try {
      const { user } = show(<SubscriptionUpgradeModal open onClose={vi.fn()} />, { stripe });
      await pay(user);
      await screen.findByText(/Your free trial of General runs/);
      expect(asked).toEqual([{ return_url: "http://localhost:8000/" }]);
    } finally {
      history.replaceState(null, "", "/");
    }
  });

  test("with a question that was not answered says so", async () => {
    const failed = {
      id: "seti_1",
      status: "requires_payment_method",
      last_setup_error: {
        type: "invalid_request_error",
        code: "setup_intent_authentication_failure",
        payment_method: { card: { brand: "visa", last4: "3220" } },
      },
    };
    wire({ ...STRIPE, [SUBSCRIBE]: BEGUN, [`GET ${SETUP}`]: inTurn(QUESTION, failed) });
    const { user } = open();
    await pay(user);
    await screen.findByTitle("3-D Secure");
    act(() => void dispatchEvent(new MessageEvent("message", { data: "3ds-complete" })));
    const words = await screen.findByText("Your Visa card ending in 3220 was declined");
    expect(words.parentElement).toHaveTextContent("Your bank could not confirm that it is you.");
  });

  test("where the trial is gone meanwhile asks to confirm the new terms first", async () => {
    const asked = wire({
      ...STRIPE,
      [SUBSCRIPTION]: inTurn(given.NONE, { ...given.NONE, trialAvailable: false }),
      [SUBSCRIBE]: TO_PAY,
    });
    const { user } = open();
    await pay(user);
    expect(await screen.findByText("The terms have changed")).toBeInTheDocument();
    expect(await button("Pay $10.00 and subscribe")).toBeInTheDocument();
    expect(asked.some(({ path }) => path.startsWith("/v1/"))).toBe(false);
  });

  test("twice in a row asks the server once", async () => {
    const asked = wire({ [SUBSCRIBE]: silence });
    const { user } = open();
    await user.type(await toPayment(user), CARD);
    const start = await button("Start free trial");
    await user.dblClick(start);
    await waitFor(() => expect(start).toHaveAttribute("aria-busy", "true"));
    expect(start).toHaveTextContent("One moment…");
    expect(to(asked, "POST", "/api/payments/subscriptions")).toHaveLength(1);
  });

  test.each([
    [
      "already subscribed",
      refuse(given.problem(409, "already-subscribed")),
      "You already have a subscription",
    ],
    ["no email", refuse(given.problem(422, "email-needed")), "Your account has no email address"],
    ["no connection", unreachable, "We can’t reach the server"],
  ])("that fails says why: %s", async (_name, answer, words) => {
    wire({ [SUBSCRIBE]: answer });
    const { user } = open();
    await pay(user);
    expect(await screen.findByText(words)).toBeInTheDocument();
    expect(await button("Start free trial")).not.toHaveAttribute("aria-disabled");
  });

  const UNDECIDED: [string, object][] = [
    ["the connection to Stripe is lost while it is confirmed", unreachable()],
    ["Stripe has a fault of its own", { error: { type: "api_error" } }],
    [
      "it was confirmed before",
      { error: { type: "invalid_request_error", code: "setup_intent_unexpected_state" } },
    ],
  ];
  test.each(UNDECIDED)("where %s, the server is asked what became of it", async (_name, answer) => {
    wire({
      ...STRIPE,
      [SUBSCRIPTION]: inTurn(given.NONE, given.INCOMPLETE, given.TRIALING),
      [SUBSCRIBE]: BEGUN,
      [`POST ${SETUP}/confirm`]: answer,
    });
    const { user } = open();
    await pay(user);
    expect(await screen.findByText(/finding out whether it worked/)).toBeInTheDocument();
    expect(screen.queryByText(/not been charged|Stripe has accepted/)).toBeNull();
    expect(
      await screen.findByText(/Your free trial of General runs/, {}, { timeout: 5000 }),
    ).toBeInTheDocument();
  });

  test("where the form cannot be shown by Stripe, says so and takes nothing", async () => {
    wire();
    /** As much of the stand-in as it takes to have its element fail to load. */
    interface Made {
      elements: (options: object) => Group;
    }
    interface Group {
      create: (type: string) => { mount: () => void; tell: (event: string) => void };
    }
    const stripe = (key: string) => {
      const made = window.Stripe?.(key) ?? null;
      const { elements } = made as unknown as Made;
      Object.assign(made ?? {}, {
        elements: (options: object) => {
          const group = elements(options);
          const create = group.create.bind(group);
          group.create = (type) => {
            const element = create(type);
            element.mount = () => queueMicrotask(() => element.tell("loaderror"));
            return element;
          };
          return group;
        },
      });
      return Promise.resolve(made);
    };
    const { user } = show(<SubscriptionUpgradeModal open onClose={vi.fn()} />, { stripe });
    await user.click(await button("Continue to payment"));
    expect(await screen.findByText("The payment form could not be loaded")).toBeInTheDocument();
    expect(await button("Start free trial")).toHaveAttribute("aria-disabled", "true");
    await expectAccessible();
  });

  test("with an ended session tells the application", async () => {
    wire({ [SUBSCRIBE]: refuse(given.problem(401, "unauthenticated")) });
    const { user, onSessionExpired } = open();
    await pay(user);
    await waitFor(() => expect(onSessionExpired).toHaveBeenCalledOnce());
  });

  test("without a network waits for it", async () => {
    wire();
    const { user } = open();
    await toPayment(user);
    vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    act(() => void dispatchEvent(new Event("offline")));
    expect(screen.getByText("You’re offline")).toBeInTheDocument();
    expect(await button("Start free trial")).toHaveAttribute("aria-disabled", "true");
  });

  test("on Stripe's page leads there, and back with the session's id", async () => {
    const asked = wire({
      "POST /api/payments/create-checkout-session": {
        sessionId: "cs_1",
        sessionUrl: "https://checkout.example/1",
      },
    });
    const { user, navigate } = open();
    await toPayment(user);
    await user.click(await button("Pay on Stripe’s page instead"));
    await waitFor(() => expect(navigate).toHaveBeenCalledWith("https://checkout.example/1"));
    // Until the page is gone, nothing is to be paid here as well; back again, it may.
    expect(await button("Start free trial")).toHaveAttribute("aria-disabled", "true");
    act(() => void dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true })));
    expect(await button("Start free trial")).not.toHaveAttribute("aria-disabled");
    expect(asked.at(-1)?.body).toEqual({
      priceId: "price_general_monthly",
      successUrl: "http://localhost:8000/?session_id={CHECKOUT_SESSION_ID}",
      cancelUrl: "http://localhost:8000/?checkout=canceled",
    });
  });

  test("on Stripe's page, where there is none to be had, says why", async () => {
    wire({
      "POST /api/payments/create-checkout-session": refuse(
        given.problem(409, "purchase-under-way"),
      ),
    });
    const { user } = open();
    await toPayment(user);
    await user.click(await button("Pay on Stripe’s page instead"));
    expect(await screen.findByText(/has changed in the meantime/)).toBeInTheDocument();
  });
});

describe("Stripe.js", () => {
  test("that cannot be loaded is loaded again when asked to", async () => {
    wire();
    let blocked = true;
    const stripe = (key: string) =>
      blocked
        ? Promise.reject(new Error("blocked"))
        : Promise.resolve(window.Stripe?.(key) ?? null);
    const { user } = show(<SubscriptionUpgradeModal open onClose={vi.fn()} />, { stripe });
    await user.click(await button("Continue to payment"));
    expect(await screen.findByText("The payment form could not be loaded")).toBeInTheDocument();
    await expectAccessible();
    blocked = false;
    await user.click(await button("Try again"));
    expect(await screen.findByLabelText("Card number")).toBeInTheDocument();
  });

  test("is not loaded before a card is asked for, and says when it is", async () => {
    wire();
    const stripe = vi.fn(() => new Promise<null>(() => undefined));
    const { user } = show(<SubscriptionUpgradeModal open onClose={vi.fn()} />, { stripe });
    await button("Continue to payment");
    expect(stripe).not.toHaveBeenCalled();
    await user.click(await button("Continue to payment"));
    expect(await screen.findByText("Loading the payment form")).toBeInTheDocument();
    expect(stripe).toHaveBeenCalledExactlyOnceWith("pk_test_fixture");
  });
});

describe("changing the plan", () => {
  const changing = () => ({
    [SUBSCRIPTION]: inTurn(given.ACTIVE, given.ACTIVE, given.ORGANIZER),
    [`POST ${CHANGE}/preview`]: given.PREVIEW,
    [`PATCH ${CHANGE}`]: given.CHANGED,
  });

  test("shows what it comes to before anything is changed", async () => {
    const asked = wire(changing());
    const { user } = open();
    await toReview(user);
    expect(await screen.findByText("Due today")).toBeInTheDocument();
    const dialog = screen.getByRole("dialog", { name: "Review your change" });
    expect(dialog).toHaveTextContent("You switch to Event Organizer as soon as $3.36 is paid");
    expect(dialog).toHaveTextContent(/Unused time on General.*-\$6\.73/);
    expect(dialog).toHaveTextContent(/Remaining time on Event Organizer.*\$10\.09/);
    expect(dialog).toHaveTextContent("Due today$3.36");
    expect(asked.some(({ method }) => method === "PATCH")).toBe(false);
    await expectAccessible();
  });

  test("is made at what was shown, and counts once the server has confirmed it", async () => {
    const asked = wire(changing());
    const { user, onChanged } = open();
    await change(user);
    expect(
      await screen.findByText("You’re on Event Organizer now. Thank you!", {}, { timeout: 5000 }),
    ).toBeInTheDocument();
    expect(to(asked, "PATCH", CHANGE).map(({ body }) => body)).toEqual([
      { priceId: "price_event_organizer_monthly", prorationDate: given.PREVIEW.prorationDate },
    ]);
    expect(onChanged).toHaveBeenCalledExactlyOnceWith(given.ORGANIZER);
  });

  test("within a trial says that nothing is due", async () => {
    wire({
      [SUBSCRIPTION]: given.TRIALING,
      [`POST ${CHANGE}/preview`]: { ...given.PREVIEW, amountDueNow: 0, lines: [] },
    });
    const { user } = open();
    await toReview(user);
    expect(
      await screen.findByText(
        "You switch to Event Organizer now. Your free trial goes on until November 26, 2026; from then on it costs $15 a month.",
      ),
    ).toBeInTheDocument();
    expect(await button("Confirm change")).toBeInTheDocument();
  });

  test("to less says what is credited", async () => {
    wire({
      [SUBSCRIPTION]: {
        ...given.ORGANIZER,
        priceId: "price_event_organizer_annual",
        interval: "year",
      },
      [`POST ${CHANGE}/preview`]: {
        ...given.PREVIEW,
        amountDueNow: 0,
        lines: [{ description: "Unused time", amount: -500 }],
      },
    });
    const { user } = open();
    await user.click(await screen.findByRole("radio", { name: /General/ }));
    await user.click(await button("Review change"));
    expect(
      await screen.findByText(/\$5\.00 is credited towards your next invoices/),
    ).toBeInTheDocument();
  });

  test("while the amount is worked out, says so and cannot be confirmed", async () => {
    wire({ ...changing(), [`POST ${CHANGE}/preview`]: silence });
    const { user } = open();
    await toReview(user);
    expect(await screen.findByText("Working out the amount")).toBeInTheDocument();
    expect(await button("Confirm change")).toHaveAttribute("aria-disabled", "true");
  });

  test("that cannot be worked out says why", async () => {
    wire({
      ...changing(),
      [`POST ${CHANGE}/preview`]: inTurn(
        refuse(given.problem(500, "internal-error")),
        given.PREVIEW,
      ),
    });
    const { user } = open();
    await toReview(user);
    await user.click(await button("Try again"));
    expect(await screen.findByText("Due today")).toBeInTheDocument();
  });

  test("that nobody has previewed in time is previewed again, not made", async () => {
    const asked = wire({
      ...changing(),
      [`POST ${CHANGE}/preview`]: inTurn(given.PREVIEW, { ...given.PREVIEW, amountDueNow: 320 }),
      [`PATCH ${CHANGE}`]: refuse(given.problem(409, "preview-outdated")),
    });
    const { user } = open();
    await change(user);
    expect(await screen.findByText("The amount has to be worked out again")).toBeInTheDocument();
    expect(await button("Pay $3.20 and change")).toBeInTheDocument();
    expect(to(asked, "PATCH", CHANGE)).toHaveLength(1);
  });

  test("with a saved card that is declined offers to update it", async () => {
    const asked = wire({
      ...changing(),
      [`PATCH ${CHANGE}`]: refuse(
        given.problem(402, "card-declined", { declineCode: "expired_card" }),
      ),
      "POST /api/payments/create-portal-session": { sessionUrl: "https://portal.example/1" },
    });
    const { user, navigate } = open("https://app.example/account");
    await change(user);
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("Your card was declined");
    expect(alert).toHaveTextContent("Your plan has not changed.");
    await expectAccessible();
    await user.click(await button("Update card"));
    await waitFor(() => expect(navigate).toHaveBeenCalledWith("https://portal.example/1"));
    expect(asked.at(-1)?.body).toEqual({ returnUrl: "https://app.example/account" });
  });

  test("with a card that wants its holder asks the bank's question, and goes on", async () => {
    const question = { ...QUESTION, id: "pi_1" };
    wire({
      ...changing(),
      [SUBSCRIPTION]: inTurn(given.ACTIVE, given.ORGANIZER),
      [`PATCH ${CHANGE}`]: given.PENDING,
      [`GET ${PAYMENT}`]: inTurn(question, { id: "pi_1", status: "succeeded" }),
    });
    const { user } = open();
    await change(user);
    await screen.findByTitle("3-D Secure");
    expect(screen.queryByText(/You’re on Event Organizer/)).toBeNull();
    act(() => void dispatchEvent(new MessageEvent("message", { data: "3ds-complete" })));
    expect(
      await screen.findByText("You’re on Event Organizer now. Thank you!"),
    ).toBeInTheDocument();
  });

  test("with a question that was not answered changes nothing, and offers the open invoice", async () => {
    const failed = {
      id: "pi_1",
      status: "requires_payment_method",
      last_payment_error: { type: "card_error", code: "payment_intent_authentication_failure" },
    };
    wire({
      ...changing(),
      [`PATCH ${CHANGE}`]: given.PENDING,
      [`GET ${PAYMENT}`]: inTurn({ ...QUESTION, id: "pi_1" }, failed),
    });
    const { user, navigate, onChanged } = open();
    await change(user);
    await screen.findByTitle("3-D Secure");
    act(() => void dispatchEvent(new MessageEvent("message", { data: "3ds-complete" })));
    expect(await screen.findByRole("alert")).toHaveTextContent("Your plan has not changed.");
    await user.click(await button("Pay the open invoice"));
    expect(navigate).toHaveBeenCalledWith("https://invoice.example/i/1");
    expect(onChanged).not.toHaveBeenCalled();
  });

  test("whose answered question is lost on the way asks the server what became of it", async () => {
    wire({
      ...changing(),
      [SUBSCRIPTION]: inTurn(given.ACTIVE, given.ORGANIZER),
      [`PATCH ${CHANGE}`]: given.PENDING,
      [`GET ${PAYMENT}`]: inTurn({ ...QUESTION, id: "pi_1" }, unreachable),
    });
    const { user } = open();
    await change(user);
    await screen.findByTitle("3-D Secure");
    act(() => void dispatchEvent(new MessageEvent("message", { data: "3ds-complete" })));
    expect(
      await screen.findByText("You’re on Event Organizer now. Thank you!"),
    ).toBeInTheDocument();
    expect(screen.queryByText(/Your plan has not changed/)).toBeNull();
  });

  test("without any card leads to the portal", async () => {
    wire({
      ...changing(),
      [`PATCH ${CHANGE}`]: refuse(given.problem(409, "card-needed")),
      "POST /api/payments/create-portal-session": { sessionUrl: "https://portal.example/1" },
    });
    const { user, navigate } = open();
    await change(user);
    expect(await screen.findByText("There is no card to pay with")).toBeInTheDocument();
    await user.click(await button("Update card"));
    await waitFor(() => expect(navigate).toHaveBeenCalledWith("https://portal.example/1"));
  });

  test("is worked out anew each time that it is looked at", async () => {
    const asked = wire({
      ...changing(),
      [`POST ${CHANGE}/preview`]: inTurn(given.PREVIEW, { ...given.PREVIEW, amountDueNow: 320 }),
    });
    const { user } = open();
    await toReview(user);
    await button("Pay $3.36 and change");
    await user.click(await button("Back"));
    await toReview(user);
    expect(await button("Pay $3.20 and change")).toBeInTheDocument();
    expect(to(asked, "POST", `${CHANGE}/preview`)).toHaveLength(2);
  });

  test("that waits for a payment elsewhere says so", async () => {
    wire({ ...changing(), [`PATCH ${CHANGE}`]: { ...given.PENDING, clientSecret: null } });
    const { user } = open();
    await change(user);
    expect(await screen.findByText("The payment is still open")).toBeInTheDocument();
    expect(await button("Pay the open invoice")).toBeInTheDocument();
  });

  test("of what has changed elsewhere shows the present state", async () => {
    wire({ ...changing(), [`PATCH ${CHANGE}`]: refuse(given.problem(409, "plan-unchanged")) });
    const { user, onClose } = open();
    await change(user);
    await user.click(await button("Show it"));
    expect(onClose).toHaveBeenCalledOnce();
  });

  test("can be gone back from", async () => {
    wire(changing());
    const { user } = open();
    await toReview(user);
    await user.click(await button("Back"));
    expect(screen.getByRole("dialog", { name: "Choose your plan" })).toBeInTheDocument();
  });
});

describe("waiting for the server", () => {
  afterEach(() => void vi.useRealTimers());

  const accepted = {
    [`POST ${CHANGE}/preview`]: given.PREVIEW,
    [`PATCH ${CHANGE}`]: given.CHANGED,
  };

  test("ends at some time, without inventing anything, and looks again when asked to", async () => {
    wire({ ...accepted, [SUBSCRIPTION]: given.ACTIVE });
    const { user, onChanged } = open();
    await toReview(user);
    const confirm = await button("Pay $3.36 and change");
    vi.useFakeTimers({ shouldAdvanceTime: true });
    fireEvent.click(confirm);
    await screen.findByText("Confirming…");
    await act(() => vi.advanceTimersByTimeAsync(40_000));
    expect(await screen.findByText("This is taking longer than usual")).toBeInTheDocument();
    expect(onChanged).not.toHaveBeenCalled();
    await expectAccessible();
    vi.useRealTimers();
    wire({ ...accepted, [SUBSCRIPTION]: given.ORGANIZER });
    await user.click(await button("Check again"));
    expect(
      await screen.findByText("You’re on Event Organizer now. Thank you!"),
    ).toBeInTheDocument();
  });

  test("goes on where the dialog is closed meanwhile: nothing is bought a second time", async () => {
    let known: object = given.ACTIVE;
    wire({ ...accepted, [SUBSCRIPTION]: () => known });
    const changed = vi.fn();
    const { user } = show(<SubscriptionManagement onChanged={changed} />);
    await user.click(await button("Change plan"));
    await change(user);
    await screen.findByText(/We’re waiting for the confirmation/);
    await user.click(await button("Close"));
    expect(await screen.findByText("Confirming your purchase…")).toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "Change plan" })).toBeNull();
    expect(changed).not.toHaveBeenCalled();
    known = given.ORGANIZER;
    expect(
      await screen.findByText(/Your purchase is confirmed/, {}, { timeout: 5000 }),
    ).toBeInTheDocument();
    expect(screen.getByText("Event Organizer")).toBeInTheDocument();
    expect(changed).toHaveBeenCalledExactlyOnceWith(given.ORGANIZER);
  });

  test("where the dialog is closed over what Stripe has said nothing about, claims nothing", async () => {
    wire({
      ...STRIPE,
      [SUBSCRIPTION]: inTurn(given.NONE, given.NONE, given.INCOMPLETE),
      [SUBSCRIBE]: BEGUN,
      [`POST ${SETUP}/confirm`]: unreachable,
    });
    const { user } = show(<SubscriptionManagement />);
    await user.click(await button("Choose a plan"));
    await pay(user);
    await screen.findByText("Not confirmed yet");
    vi.useFakeTimers({ shouldAdvanceTime: true });
    fireEvent.click(await button("Close"));
    expect(await screen.findByText(/finding out whether it worked/)).toBeInTheDocument();
    await act(() => vi.advanceTimersByTimeAsync(31_000));
    expect(await screen.findByText("We don’t know whether that worked")).toBeInTheDocument();
    expect(screen.queryByText(/nothing you need to do|don’t need to do/)).toBeNull();
    expect(await button("Finish payment")).toBeInTheDocument();
    expect(await button("Check again")).toBeInTheDocument();
    await expectAccessible();
  });

  test("of what Stripe has said nothing about ends in just that, and may be repeated", async () => {
    wire({
      ...STRIPE,
      [SUBSCRIPTION]: given.NONE,
      [SUBSCRIBE]: BEGUN,
      [`POST ${SETUP}/confirm`]: unreachable,
    });
    const { user } = open();
    await user.type(await toPayment(user), CARD);
    const start = await button("Start free trial");
    vi.useFakeTimers({ shouldAdvanceTime: true });
    fireEvent.click(start);
    await screen.findByText("Not confirmed yet");
    await act(() => vi.advanceTimersByTimeAsync(31_000));
    expect(await screen.findByText("We don’t know whether that worked")).toBeInTheDocument();
    await expectAccessible();
    vi.useRealTimers();
    await user.click(await button("Back to the plans"));
    expect(await button("Continue to payment")).toBeInTheDocument();
  });

  test("takes half a minute at most, even where the server says nothing at all", async () => {
    wire({ ...accepted, [SUBSCRIPTION]: inTurn(given.ACTIVE, silence) });
    const { user } = open();
    await toReview(user);
    const confirm = await button("Pay $3.36 and change");
    vi.useFakeTimers({ shouldAdvanceTime: true });
    fireEvent.click(confirm);
    await screen.findByText("Confirming…");
    await act(() => vi.advanceTimersByTimeAsync(31_000));
    expect(await screen.findByText("We lost the connection while confirming")).toBeInTheDocument();
  });

  test("ends at once with the session", async () => {
    const asked = wire({
      ...accepted,
      [SUBSCRIPTION]: inTurn(given.ACTIVE, refuse(given.problem(401, "unauthenticated"))),
    });
    const { user, onSessionExpired } = open();
    await change(user);
    await waitFor(() => expect(onSessionExpired).toHaveBeenCalledOnce());
    expect(to(asked, "GET", "/api/payments/subscription")).toHaveLength(2);
    // What was paid for is not told as never done.
    const dialog = screen.getByRole("dialog");
    expect(dialog).toHaveTextContent("Sign in again to go on. Stripe has accepted it");
    expect(dialog).not.toHaveTextContent("Nothing was changed");
  });

  test("survives a lost connection, and says that nothing has to be entered again", async () => {
    wire({ ...accepted, [SUBSCRIPTION]: inTurn(given.ACTIVE, unreachable) });
    const { user } = open();
    await toReview(user);
    const confirm = await button("Pay $3.36 and change");
    vi.useFakeTimers({ shouldAdvanceTime: true });
    fireEvent.click(confirm);
    await screen.findByText("Confirming…");
    await act(() => vi.advanceTimersByTimeAsync(40_000));
    expect(await screen.findByText("We lost the connection while confirming")).toBeInTheDocument();
  });
});
