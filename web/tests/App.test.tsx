import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse } from "msw";
import { expect, test } from "vitest";

import { App } from "../src/app/App";
import { NOW } from "./fixtures";
import { button, wire } from "./house";

const ANNA = { id: "anna", email: "anna@example.org", name: "Anna" };
const BEN = { id: "ben", email: "ben@example.org", name: "Ben" };

test("what one user came back from is not asked of the next", async () => {
  wire({
    "GET /session": { user: ANNA },
    "GET /session/users": [ANNA, BEN],
    "POST /session": { user: BEN },
    "DELETE /session": () => new HttpResponse(null, { status: 204 }),
    "GET /sandbox/status": {
      stripe: { now: NOW, url: "https://stripe.example", controlPanel: "https://panel.example" },
      usersView: null,
    },
  });
  const user = userEvent.setup();
  render(<App returned={{ checkoutCanceled: true }} />);
  expect(await screen.findByText("Your purchase was not finished")).toBeInTheDocument();
  await user.click(await button("Sign out"));
  await user.click(await button(/Ben/));
  expect(await button("Choose a plan")).toBeInTheDocument();
  expect(screen.queryByText("Your purchase was not finished")).toBeNull();
});
