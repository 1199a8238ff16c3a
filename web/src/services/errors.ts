import type { components } from "./schema";

type Problem = components["schemas"]["Problem"];

/** A field of the request that was not accepted, and why. */
export interface FieldError {
  field: string;
  message: string;
}

/**
 * Whatever keeps the service from answering.
 *
 *     PaymentsError
 *     ├── ConnectionError           no answer: the network is away, or it took too long
 *     ├── UnexpectedAnswerError     an answer that is not the service's
 *     └── ProblemError              the service says what is wrong
 *         ├── SessionExpiredError   401
 *         └── CardDeclinedError     402
 */
export abstract class PaymentsError extends Error {
  /** True where it is unknown whether the request was carried out. */
  abstract readonly undecided: boolean;

  override get name(): string {
    return this.constructor.name;
  }
}

export class ConnectionError extends PaymentsError {
  readonly undecided = true;
}

export class UnexpectedAnswerError extends PaymentsError {
  readonly undecided = true;

  constructor(readonly status: number) {
    super(`the answer, with status ${status}, is not one of the payments service`);
  }
}

const PREFIX = "urn:payments:problem:";

/** A problem document (RFC 9457). `problem` is the last part of its type and never changes. */
export class ProblemError extends PaymentsError {
  readonly problem: string;
  readonly status: number;
  readonly code: string | null;
  readonly traceId: string | null;
  readonly fields: FieldError[];

  constructor(
    document: Problem,
    /** Seconds after which the service would like to be asked again. */
    readonly retryAfter: number | null,
  ) {
    super(document.detail);
    this.problem = document.type.replace(PREFIX, "");
    this.status = document.status;
    this.code = document.code ?? null;
    this.traceId = document.traceId ?? null;
    this.fields = (document.errors ?? []).map((error) => ({
      field: error.field ?? "",
      message: error.message ?? "",
    }));
  }

  get undecided(): boolean {
    return this.status >= 500 || this.problem === "request-under-way";
  }
}

export class SessionExpiredError extends ProblemError {}

export class CardDeclinedError extends ProblemError {
  readonly declineCode: string | null;

  constructor(document: Problem, retryAfter: number | null) {
    super(document, retryAfter);
    this.declineCode = document.declineCode ?? null;
  }
}

/** The error that an answer other than a success stands for. */
export function errorOf(response: Response, body: unknown): PaymentsError {
  if (!isProblem(body)) {
    return new UnexpectedAnswerError(response.status);
  }
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  switch (response.status) {
    case 401:
      return new SessionExpiredError(body, retryAfter);
    case 402:
      return new CardDeclinedError(body, retryAfter);
    default:
      return new ProblemError(body, retryAfter);
  }
}

function isProblem(body: unknown): body is Problem {
  return (
    typeof body === "object" &&
    body !== null &&
    "type" in body &&
    typeof body.type === "string" &&
    body.type.startsWith(PREFIX) &&
    "detail" in body &&
    typeof body.detail === "string" &&
    "status" in body &&
    typeof body.status === "number"
  );
}
