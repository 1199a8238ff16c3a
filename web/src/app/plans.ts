import type { PlanText } from "../index";

/** What this application offers with each plan. */
export const PLANS: Record<string, PlanText> = {
  general: {
    name: "General",
    description: "For everyone who wants to take part.",
    features: ["Every community event", "The member directory", "A say in what comes next"],
  },
  event_organizer: {
    name: "Event Organizer",
    description: "For those who bring people together.",
    features: [
      "Everything in General",
      "Your own events, without limit",
      "Guest lists and tickets",
    ],
  },
};
