import { act, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, test, vi } from "vitest";

import {
  ConnectionError,
  createPaymentsService,
  type PaymentsService,
  type Returned,
  returnedFrom,
  StripeProvider,
  type Subscription,
  SubscriptionManagement,
} from "../src/index";
import * as given from "./fixtures";
import {
  button,
  expectAccessible,
  inTurn,
  refuse,
  show,
  silence,
  unreachable,
  wire,
} from "./house";
import { preference } from "./setup";

const SUBSCRIPTION = "GET /api/payments/subscription";
const CHANGE = `/api/payments/subscriptions/${given.SUBSCRIPTION_ID}`;
const PORTAL = "POST /api/payments/create-portal-session";
const SYNC = "POST /api/payments/checkout-sessions/cs_1/sync";

const buttons = () => screen.getAllByRole("button").map(({ textContent }) => textContent);

interface State {
  subscription: Subscription;
  says: (string | RegExp)[];
  offers: string[];
}

const OWED = ["Update card", "Billing portal", "Cancel subscription"];
const STATES: Record<string, State> = {
  none: {
    subscription: given.NONE,
    says: ["You have no subscription yet", /try it free for 180 days/],
    offers: ["Choose a plan"],
  },
  "none, trial had": {
    subscription: { ...given.NONE, trialAvailable: false },
    says: ["You have no subscription yet", /change or cancel it at any time/],
    offers: ["Choose a plan"],
  },
  incomplete: {
    subscription: given.INCOMPLETE,
    says: ["Not finished", "Your payment was not finished"],
    offers: ["Finish payment"],
  },
  trialing: {
    subscription: given.TRIALING,
    says: [
      "Free trial",
      "General",
      "$10",
      "134 days left in your free trial",
      "$10.00 on November 26, 2026",
    ],
    offers: ["Change plan", ...OWED],
  },
  "the last day of a trial": {
    subscription: { ...given.TRIALING, trialDaysLeft: 1 },
    says: ["1 day left in your free trial"],
    offers: ["Change plan", ...OWED],
  },
  active: {
    subscription: given.ACTIVE,
    says: ["Active", "General", "$10.00 on August 5, 2026", "January 5, 2026"],
    offers: ["Change plan", ...OWED],
  },
  "at a price no longer sold": {
    subscription: {
      ...given.ACTIVE,
      plan: "unknown",
      priceId: "price_old",
      nextCharge: { at: "2026-08-05T12:00:00Z", amount: null, currency: null },
    },
    says: ["Your plan", "August 5, 2026"],
    offers: ["Change plan", ...OWED],
  },
  ending: {
    subscription: given.ENDING,
    says: ["Ends soon", "Your subscription ends on August 5, 2026", "Access ends"],
    offers: ["Resume subscription", "Update card", "Billing portal"],
  },
  "past due": {
    subscription: given.PAST_DUE,
    says: ["Payment overdue", "Your last payment failed", /You keep access until July 20, 2026/],
    offers: OWED,
  },
  "past due, after the grace": {
    subscription: { ...given.PAST_DUE, hasAccess: false },
    says: [/Your access has ended for now/],
    offers: OWED,
  },
  "past due and ending": {
    subscription: { ...given.PAST_DUE, cancelAt: "2026-08-05T12:00:00Z" },
    says: [/You keep access until July 20, 2026/, "Subscription ends", "August 5, 2026"],
    offers: ["Resume subscription", "Update card", "Billing portal"],
  },
  "unpaid and ending": {
    subscription: { ...given.without("unpaid"), cancelAt: "2026-08-05T12:00:00Z" },
    says: ["Unpaid", /Your access is suspended/],
    offers: OWED,
  },
  unpaid: {
    subscription: given.without("unpaid"),
    says: ["Unpaid", "A payment is still open"],
    offers: OWED,
  },
  paused: {
    subscription: given.without("paused"),
    says: ["Paused", "Your subscription is paused", /cancel this subscription, then choose/],
    offers: ["Billing portal", "Cancel subscription"],
  },
  expired: {
    subscription: given.without("expired"),
    says: ["Your purchase was not completed in time"],
    offers: ["Choose a plan"],
  },
  canceled: {
    subscription: given.ENDED,
    says: ["Ended", /It ended on July 1, 2026/],
    offers: ["Choose a plan"],
  },
  "a status nobody knows yet": {
    subscription: given.without("on_hold"),
    says: ["State: on hold", /You have no access at the moment/],
    offers: ["Billing portal"],
  },
};

describe.each(Object.entries(STATES))("%s", (_name, { subscription, says, offers }) => {
  test("says what it means and offers what can be done", async () => {
    wire({ [SUBSCRIPTION]: subscription });
    show(<SubscriptionManagement />);
    for (const words of says) {
      expect((await screen.findAllByText(words)).length).toBeGreaterThan(0);
    }
    expect(buttons()).toEqual(offers);
    await expectAccessible();
  });
});

test("while it is loaded, says so and shows no state", async () => {
  wire({ [SUBSCRIPTION]: silence });
  show(<SubscriptionManagement />);
  expect(await screen.findByText("Loading your subscription")).toBeInTheDocument();
  expect(screen.queryByRole("button")).toBeNull();
  await expectAccessible();
});

test("where it cannot be loaded, says why and tries again when asked to", async () => {
  wire({
    [SUBSCRIPTION]: inTurn(
      refuse(given.problem(500, "internal-error", { traceId: "abc" })),
      given.ACTIVE,
    ),
  });
  const { user } = show(<SubscriptionManagement />);
  expect(await screen.findByRole("alert")).toHaveTextContent(/contact support and mention abc/);
  await expectAccessible();
  await user.click(await button("Try again"));
  expect(await button("Change plan")).toBeInTheDocument();
  expect(screen.queryByRole("alert")).toBeNull();
});

test("the end of the session is told to the application", async () => {
  wire({ [SUBSCRIPTION]: refuse(given.problem(401, "unauthenticated")) });
  const { onSessionExpired } = show(<SubscriptionManagement />);
  expect(await screen.findByText("Your session has ended")).toBeInTheDocument();
  expect(onSessionExpired).toHaveBeenCalledOnce();
  expect(screen.queryByRole("button")).toBeNull();
});

test("the end of the session in the middle of an action is told too", async () => {
  wire({
    [SUBSCRIPTION]: given.ENDING,
    [`POST ${CHANGE}/resume`]: refuse(given.problem(401, "unauthenticated")),
  });
  const { user, onSessionExpired } = show(<SubscriptionManagement />);
  await user.click(await button("Resume subscription"));
  await waitFor(() => expect(onSessionExpired).toHaveBeenCalledOnce());
});

test("without a network, says so and takes no changes until it is back", async () => {
  wire({ [SUBSCRIPTION]: given.ENDING });
  show(<SubscriptionManagement />);
  const resume = await button("Resume subscription");
  const online = vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  act(() => void dispatchEvent(new Event("offline")));
  expect(screen.getByText("You’re offline")).toBeInTheDocument();
  expect(resume).toHaveAttribute("aria-disabled", "true");
  await expectAccessible();
  online.mockReturnValue(true);
  act(() => void dispatchEvent(new Event("online")));
  expect(screen.queryByText("You’re offline")).toBeNull();
  expect(resume).not.toHaveAttribute("aria-disabled");
});

describe("canceling", () => {
  test("says when access ends, and asks first", async () => {
    const asked = wire({ [SUBSCRIPTION]: given.ACTIVE, [`DELETE ${CHANGE}`]: given.ENDING });
    const changed = vi.fn();
    const { user } = show(<SubscriptionManagement onChanged={changed} />);
    await user.click(await button("Cancel subscription"));
    const dialog = screen.getByRole("alertdialog", { name: "Cancel General?" });
    expect(dialog).toHaveTextContent("You keep full access until August 5, 2026");
    expect(dialog).toHaveTextContent("you will not be charged again");
    expect(asked.some(({ method }) => method === "DELETE")).toBe(false);
    await expectAccessible();
    await user.click(within(dialog).getByRole("button", { name: "Cancel subscription" }));
    expect(
      await screen.findByText("Your subscription ends on August 5, 2026."),
    ).toBeInTheDocument();
    expect(await button("Resume subscription")).toBeInTheDocument();
    expect(screen.queryByRole("alertdialog")).toBeNull();
    expect(changed).toHaveBeenCalledWith(given.ENDING);
  });

  interface Farewell {
    subscription: Subscription;
    says: string[];
    never: RegExp;
    immediately: string;
  }
  const NO_WAY_BACK = "This can’t be taken back";
  const FAREWELLS: Record<string, Farewell> = {
    trialing: {
      subscription: given.TRIALING,
      says: [
        "You keep full access until November 26, 2026",
        "you will not be charged at all",
        "Until it has ended you can change your mind and resume it.",
      ],
      never: /at once/,
      immediately: "false",
    },
    active: {
      subscription: given.ACTIVE,
      says: ["You keep full access until August 5, 2026", "you will not be charged again"],
      never: /at once/,
      immediately: "false",
    },
    "past due, within the grace": {
      subscription: given.PAST_DUE,
      says: [
        "you keep access until July 20, 2026",
        "Your subscription ends on August 5, 2026.",
        "we may try the payment that failed again",
      ],
      never: /full access|will not be charged again/,
      immediately: "false",
    },
    "past due, ending before the grace does": {
      subscription: { ...given.PAST_DUE, currentPeriodEnd: "2026-07-18T12:00:00Z" },
      says: ["you keep access until July 18, 2026"],
      never: /July 20/,
      immediately: "false",
    },
    "past due, after the grace": {
      subscription: { ...given.PAST_DUE, hasAccess: false },
      says: ["your access has ended already", "Your subscription ends on August 5, 2026."],
      never: /keep/,
      immediately: "false",
    },
    unpaid: {
      subscription: given.without("unpaid"),
      says: ["You have no access at the moment", "ends at once", NO_WAY_BACK],
      never: /August|You keep|change your mind/,
      immediately: "true",
    },
    paused: {
      subscription: given.without("paused"),
      says: ["You have no access at the moment", "ends at once", NO_WAY_BACK],
      never: /August|You keep|change your mind/,
      immediately: "true",
    },
  };
  test.each(Object.entries(FAREWELLS))(
    "what is %s says what becomes of access and money, and asks for just that",
    async (_name, { subscription, says, never, immediately }) => {
      const asked = wire({
        [SUBSCRIPTION]: subscription,
        [`DELETE ${CHANGE}`]: immediately === "true" ? given.ENDED : given.ENDING,
      });
      const { user } = show(<SubscriptionManagement />);
      await user.click(await button("Cancel subscription"));
      const dialog = screen.getByRole("alertdialog");
      for (const words of says) {
        expect(dialog).toHaveAccessibleDescription(expect.stringContaining(words));
      }
      expect(dialog).not.toHaveTextContent(never);
      await expectAccessible();
      await user.click(within(dialog).getByRole("button", { name: "Cancel subscription" }));
      await waitFor(() => expect(screen.queryByRole("alertdialog")).toBeNull());
      const { path } = asked.find(({ method }) => method === "DELETE") ?? { path: "" };
      expect(path).toBe(`${CHANGE}?immediately=${immediately}`);
    },
  );

  test("leaves the focus on the card's heading, since its button is gone", async () => {
    wire({ [SUBSCRIPTION]: given.ACTIVE, [`DELETE ${CHANGE}`]: given.ENDING });
    const { user } = show(<SubscriptionManagement />);
    await user.click(await button("Cancel subscription"));
    const dialog = within(screen.getByRole("alertdialog"));
    await user.click(dialog.getByRole("button", { name: "Cancel subscription" }));
    await button("Resume subscription");
    await waitFor(() => expect(screen.queryByRole("alertdialog")).toBeNull());
    expect(screen.getByRole("heading", { name: "Subscription" })).toHaveFocus();
  });

  test("can be thought better of, and gives the focus back", async () => {
    const asked = wire({ [SUBSCRIPTION]: given.ACTIVE });
    const { user } = show(<SubscriptionManagement />);
    const opener = await button("Cancel subscription");
    await user.click(opener);
    expect(screen.getByRole("heading", { name: "Cancel General?" })).toHaveFocus();
    await user.click(await button("Keep my subscription"));
    expect(screen.queryByRole("alertdialog")).toBeNull();
    expect(opener).toHaveFocus();
    expect(asked.some(({ method }) => method === "DELETE")).toBe(false);
  });

  test("that fails keeps the dialog and says so", async () => {
    wire({
      [SUBSCRIPTION]: given.ACTIVE,
      [`DELETE ${CHANGE}`]: inTurn(
        refuse(given.problem(503, "payment-provider-unavailable"), { "Retry-After": "60" }),
        given.ENDING,
      ),
    });
    const { user } = show(<SubscriptionManagement />);
    await user.click(await button("Cancel subscription"));
    const dialog = within(screen.getByRole("alertdialog"));
    await user.click(dialog.getByRole("button", { name: "Cancel subscription" }));
    expect(await dialog.findByRole("alert")).toHaveTextContent(
      "The payment provider can’t be reached",
    );
    await user.click(dialog.getByRole("button", { name: "Cancel subscription" }));
    expect(await button("Resume subscription")).toBeInTheDocument();
  });

  test("what was canceled elsewhere shows the present state", async () => {
    wire({
      [SUBSCRIPTION]: inTurn(given.ACTIVE, given.ENDING),
      [`DELETE ${CHANGE}`]: refuse(given.problem(409, "already-canceled")),
    });
    const { user } = show(<SubscriptionManagement />);
    await user.click(await button("Cancel subscription"));
    const dialog = within(screen.getByRole("alertdialog"));
    await user.click(dialog.getByRole("button", { name: "Cancel subscription" }));
    await user.click(await dialog.findByRole("button", { name: "Show it" }));
    expect(await button("Resume subscription")).toBeInTheDocument();
  });

  test("twice in a row asks the server once", async () => {
    const asked = wire({ [SUBSCRIPTION]: given.ACTIVE, [`DELETE ${CHANGE}`]: silence });
    const { user } = show(<SubscriptionManagement />);
    await user.click(await button("Cancel subscription"));
    const dialog = within(screen.getByRole("alertdialog"));
    await user.click(dialog.getByRole("button", { name: "Cancel subscription" }));
    await user.click(dialog.getByRole("button", { name: "Canceling…" }));
    await user.keyboard("{Escape}");
    expect(screen.getByRole("alertdialog")).toBeInTheDocument();
    expect(asked.filter(({ method }) => method === "DELETE")).toHaveLength(1);
  });
});

test("resuming takes the cancellation back", async () => {
  wire({ [SUBSCRIPTION]: given.ENDING, [`POST ${CHANGE}/resume`]: given.ACTIVE });
  const { user } = show(<SubscriptionManagement />);
  await user.click(await button("Resume subscription"));
  expect(await screen.findByText("Your subscription goes on.")).toBeInTheDocument();
  expect(await button("Change plan")).toBeInTheDocument();
  expect(screen.getByRole("heading", { name: "Subscription" })).toHaveFocus();
});

test("what cannot be loaded again is said to be out of date, until it can", async () => {
  let away = false;
  wire({
    [SUBSCRIPTION]: () => (away ? refuse(given.problem(500, "internal-error")) : given.TRIALING),
    [PORTAL]: unreachable,
  });
  const { user } = show(<SubscriptionManagement />);
  await user.click(await button("Change plan"));
  away = true;
  await user.click(await button("Not now"));
  expect(await screen.findByText("What you see may be out of date")).toBeInTheDocument();
  expect(screen.getByText("134 days left in your free trial")).toBeInTheDocument();
  await expectAccessible();
  away = false;
  await user.click(await button("Try again"));
  await waitFor(() => expect(screen.queryByText("What you see may be out of date")).toBeNull());
});

describe("the portal", () => {
  test.each(["Update card", "Billing portal"])(
    "%s leads there, and back to this page",
    async (name) => {
      const asked = wire({
        [SUBSCRIPTION]: given.ACTIVE,
        [PORTAL]: { sessionUrl: "https://portal.example/1" },
      });
      const { user, navigate } = show(<SubscriptionManagement />);
      await user.click(await button(name));
      await waitFor(() => expect(navigate).toHaveBeenCalledWith("https://portal.example/1"));
      expect(asked.at(-1)?.body).toEqual({ returnUrl: "http://localhost:8000/" });
    },
  );

  test("that cannot be opened says why", async () => {
    wire({ [SUBSCRIPTION]: given.ACTIVE, [PORTAL]: unreachable });
    const { user, navigate } = show(<SubscriptionManagement />);
    await user.click(await button("Update card"));
    expect(await screen.findByRole("alert")).toHaveTextContent("We can’t reach the server");
    expect(navigate).not.toHaveBeenCalled();
  });
});

describe("back from Checkout", () => {
  afterEach(() => void vi.useRealTimers());

  test("shows no plan before the server confirms it", async () => {
    wire({ [SUBSCRIPTION]: given.TRIALING, [SYNC]: silence });
    show(<SubscriptionManagement checkoutSessionId="cs_1" />);
    expect(await screen.findByText("Confirming your purchase…")).toBeInTheDocument();
    expect(screen.queryByText("General")).toBeNull();
    expect(screen.queryByText("You have no subscription yet")).toBeNull();
    expect(screen.queryByRole("button")).toBeNull();
    await expectAccessible();
  });

  test("shows what the sync has settled", async () => {
    wire({ [SYNC]: { status: "complete", settled: true, subscription: given.TRIALING } });
    const changed = vi.fn();
    show(<SubscriptionManagement checkoutSessionId="cs_1" onChanged={changed} />);
    expect(await screen.findByText(/Your purchase is confirmed/)).toBeInTheDocument();
    expect(changed).toHaveBeenCalledExactlyOnceWith(given.TRIALING);
    expect(screen.getByText("134 days left in your free trial")).toBeInTheDocument();
  });

  test("waits for the webhook where the sync has not settled it", async () => {
    const asked = wire({
      [SUBSCRIPTION]: inTurn(given.NONE, given.INCOMPLETE, given.TRIALING),
      [SYNC]: { status: "complete", settled: false, subscription: given.NONE },
    });
    show(<SubscriptionManagement checkoutSessionId="cs_1" />);
    expect(
      await screen.findByText(/Your purchase is confirmed/, {}, { timeout: 5000 }),
    ).toBeInTheDocument();
    expect(asked.filter(({ path }) => path.endsWith("/subscription"))).toHaveLength(3);
  });

  test("stops waiting at some time, without inventing anything, and looks again when asked to", async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    wire({ [SYNC]: { status: "complete", settled: false, subscription: given.NONE } });
    const { user } = show(<SubscriptionManagement checkoutSessionId="cs_1" />);
    await screen.findByText("Confirming your purchase…");
    await act(() => vi.advanceTimersByTimeAsync(40_000));
    expect(await screen.findByText("Your purchase is not confirmed yet")).toBeInTheDocument();
    expect(buttons()).toEqual(["Check again"]);
    expect(screen.queryByText("General")).toBeNull();
    await expectAccessible();
    vi.useRealTimers();
    wire({ [SYNC]: { status: "complete", settled: true, subscription: given.TRIALING } });
    await user.click(await button("Check again"));
    expect(await screen.findByText(/Your purchase is confirmed/)).toBeInTheDocument();
  });

  /** A service of which some operations answer what they are given here. */
  const serving = (answers: Partial<PaymentsService>) => ({
    service: { ...createPaymentsService(), ...answers },
  });

  test("a look that our own patience cuts short is no lost connection", async () => {
    vi.useFakeTimers();
    wire();
    const begun = performance.now();
    const lookAtSubscription: PaymentsService["lookAtSubscription"] = (signal) =>
      performance.now() - begun < 28_000
        ? Promise.resolve(given.INCOMPLETE)
        : new Promise((_, reject) =>
            signal?.addEventListener("abort", () => reject(new ConnectionError("given up"))),
          );
    show(<SubscriptionManagement redirectStatus="succeeded" />, serving({ lookAtSubscription }));
    await act(() => vi.advanceTimersByTimeAsync(31_000));
    expect(screen.getByText("Your purchase is not confirmed yet")).toBeInTheDocument();
  });

  test("who has paid is not asked to choose a plan where the network goes meanwhile", async () => {
    vi.useFakeTimers();
    wire();
    const away = () => Promise.reject(new ConnectionError("away"));
    const syncCheckout = vi
      .fn<PaymentsService["syncCheckout"]>(away)
      .mockResolvedValueOnce({ status: "complete", settled: false, subscription: given.NONE });
    const getSubscription = () => Promise.resolve(given.NONE);
    show(
      <SubscriptionManagement checkoutSessionId="cs_1" />,
      serving({ syncCheckout, getSubscription, lookAtSubscription: away }),
    );
    await act(() => vi.advanceTimersByTimeAsync(36_000));
    expect(screen.getByText("We could not confirm your purchase yet")).toBeInTheDocument();
    expect(buttons()).toEqual(["Check again"]);
    // Nor once Stripe cannot be asked a second time.
    act(() => screen.getByRole("button", { name: "Check again" }).click());
    await act(() => vi.advanceTimersByTimeAsync(1_000));
    expect(syncCheckout).toHaveBeenCalledTimes(2);
    expect(screen.getByText("We could not confirm your purchase yet")).toBeInTheDocument();
    expect(buttons()).toEqual(["Check again"]);
  });

  test("what was said is gone once something else is begun", async () => {
    wire({
      [SUBSCRIPTION]: given.TRIALING,
      [SYNC]: { status: "complete", settled: true, subscription: given.TRIALING },
    });
    const { user } = show(<SubscriptionManagement checkoutSessionId="cs_1" />);
    await screen.findByText(/Your purchase is confirmed/);
    await user.click(await button("Cancel subscription"));
    expect(screen.queryByText(/Your purchase is confirmed/)).toBeNull();
  });

  test.each<[string, Returned]>([
    ["from a bank that said no", { redirectStatus: "failed" }],
    ["without having paid", { checkoutCanceled: true }],
  ])("%s, is told that nothing was charged, and nothing is waited for", async (_name, back) => {
    const asked = wire({ [SUBSCRIPTION]: given.NONE });
    show(<SubscriptionManagement {...back} />);
    expect(await screen.findByText("Your purchase was not finished")).toBeInTheDocument();
    expect(screen.getByText(/You have not been charged/)).toBeInTheDocument();
    expect(screen.queryByText(/nothing you need to do/)).toBeNull();
    expect(asked.filter(({ path }) => path.endsWith("/subscription"))).toHaveLength(1);
    await expectAccessible();
  });

  test("from a bank that said no, what was begun is said to be unfinished once", async () => {
    wire({ [SUBSCRIPTION]: given.INCOMPLETE });
    show(<SubscriptionManagement redirectStatus="failed" />);
    expect(await button("Finish payment")).toBeInTheDocument();
    expect(screen.getAllByText(/was not finished/)).toHaveLength(1);
    expect(screen.queryByText(/nothing you need to do/)).toBeNull();
  });

  test("nobody who has a subscription is told that it was not finished", async () => {
    wire({ [SUBSCRIPTION]: given.ACTIVE });
    show(<SubscriptionManagement checkoutCanceled />);
    await button("Change plan");
    expect(screen.queryByText("Your purchase was not finished")).toBeNull();
  });

  test("an address says which of these it is", () => {
    const NOTHING = {
      checkoutSessionId: undefined,
      checkoutCanceled: false,
      redirectStatus: undefined,
    };
    expect(returnedFrom("?tab=billing")).toEqual(NOTHING);
    expect(returnedFrom("?session_id=cs_1")).toEqual({ ...NOTHING, checkoutSessionId: "cs_1" });
    expect(returnedFrom("?checkout=canceled")).toEqual({ ...NOTHING, checkoutCanceled: true });
    expect(returnedFrom("?payment_intent=pi_1&redirect_status=failed")).toEqual({
      ...NOTHING,
      redirectStatus: "failed",
    });
  });

  test.each(["open", "expired"])("a purchase that is %s was not finished", async (status) => {
    wire({ [SYNC]: { status, settled: true, subscription: given.NONE } });
    show(<SubscriptionManagement checkoutSessionId="cs_1" />);
    expect(await screen.findByText("Your purchase was not finished")).toBeInTheDocument();
  });

  test("says so where the server cannot be asked, and asks again", async () => {
    wire({
      [SYNC]: inTurn(refuse(given.problem(503, "try-again"), { "Retry-After": "60" }), {
        status: "complete",
        settled: true,
        subscription: given.TRIALING,
      }),
    });
    const { user } = show(<SubscriptionManagement checkoutSessionId="cs_1" />);
    expect(await screen.findByText("We could not confirm your purchase yet")).toBeInTheDocument();
    await user.click(await button("Check again"));
    expect(await screen.findByText(/Your purchase is confirmed/)).toBeInTheDocument();
  });

  test("and from a bank's page, waits for the webhook too", async () => {
    wire({ [SUBSCRIPTION]: inTurn(given.INCOMPLETE, given.INCOMPLETE, given.TRIALING) });
    const changed = vi.fn();
    show(<SubscriptionManagement redirectStatus="succeeded" onChanged={changed} />);
    expect(
      await screen.findByText(/Your purchase is confirmed/, {}, { timeout: 5000 }),
    ).toBeInTheDocument();
    expect(changed).toHaveBeenCalledExactlyOnceWith(given.TRIALING);
  });
});

describe("the reader's own way of writing", () => {
  test.each([
    ["de-DE", /10,00\s\$ on 5\. August 2026/],
    ["fr-FR", /10,00\s\$US on 5 août 2026/],
    ["ja-JP", /\$10\.00 on 2026年8月5日/],
  ])("prices and dates in %s", async (locale, words) => {
    wire({ [SUBSCRIPTION]: given.ACTIVE });
    show(<SubscriptionManagement />, { locale });
    expect(await screen.findByText(words)).toBeInTheDocument();
  });

  test("currencies have the decimals they have", async () => {
    const nextCharge = { at: "2026-08-05T12:00:00Z", amount: 1000, currency: "jpy" };
    wire({ [SUBSCRIPTION]: { ...given.ACTIVE, nextCharge } });
    show(<SubscriptionManagement />);
    expect(await screen.findByText("¥1,000 on August 5, 2026")).toBeInTheDocument();
  });
});

describe("colours", () => {
  const scheme = async () =>
    (await screen.findByRole("region", { name: "Subscription" })).getAttribute("data-scheme");

  test("follow the browser's preference", async () => {
    preference.dark = true;
    wire();
    show(<SubscriptionManagement />);
    expect(await scheme()).toBe("dark");
  });

  test("are the application's where it says so", async () => {
    preference.dark = true;
    wire();
    show(<SubscriptionManagement />, { appearance: "light" });
    expect(await scheme()).toBe("light");
  });
});

test("what was loaded for one user is not shown to the next", async () => {
  wire({ [SUBSCRIPTION]: given.ACTIVE });
  const { showTo } = show(<SubscriptionManagement />, { userId: "one" });
  expect(await button("Change plan")).toBeInTheDocument();
  wire({ [SUBSCRIPTION]: silence });
  showTo("two");
  expect(screen.queryByText("General")).toBeNull();
  expect(screen.getByText("Loading your subscription")).toBeInTheDocument();
});

test("what is undecided stays so where the page is drawn anew: its key is kept", async () => {
  const RESUME = `POST ${CHANGE}/resume`;
  const unknown = refuse(given.problem(503, "outcome-unknown"), { "Retry-After": "60" });
  const asked = wire({ [SUBSCRIPTION]: given.ENDING, [RESUME]: unknown });
  const page = (locale: string) => (
    <StripeProvider locale={locale}>
      <SubscriptionManagement />
    </StripeProvider>
  );
  const { rerender } = render(page("en-US"));
  const user = userEvent.setup();
  await user.click(await button("Resume subscription"));
  await screen.findByText("We don’t know yet whether that worked");
  rerender(page("de-DE"));
  await user.click(await button("Resume subscription"));
  const resumed = () => asked.filter(({ path }) => path.endsWith("/resume"));
  await waitFor(() => expect(resumed()).toHaveLength(2));
  expect(resumed()[0]?.key).toBe(resumed()[1]?.key);
});
