import { type FormEvent, useCallback, useEffect, useRef, useState } from "react";
import { type Problem, type Session, sessionOf, signIn } from "./api";

/** A token is renewed this long before it ends, and after a failure again. */
const RENEW_BEFORE_MS = 60_000;
const RETRY_MS = 3_000;
/** A browser's timer takes no more than 31 bits; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

interface Props {
  session: Session | undefined;
  /** A token that the notifier says has ended: a computer that slept may have missed the time to renew it. */
  expired: string;
  onSession(session: Session): void;
}

/**
 * SignIn shows who is signed in and lets somebody else in: by name where the development login is on, else by token.
 * By name it keeps the token fresh.
 */
export function SignIn({ session, expired, onSession }: Props) {
  const [customer, setCustomer] = useState("demo");
  const [operator, setOperator] = useState(false);
  const [problem, setProblem] = useState(""); // with what was asked for by hand
  const [trouble, setTrouble] = useState({ times: 0, why: "" }); // with what happens by itself
  const [byToken, setByToken] = useState(false);
  const latest = useRef(0); // of several answers the one to the latest question counts

  const enter = useCallback(async (name: string, asOperator: boolean, byHand: boolean) => {
    const mine = ++latest.current;
    try {
      const next = await signIn(name, asOperator);
      if (mine !== latest.current) return;
      if (byHand) setProblem("");
      setTrouble({ times: 0, why: "" });
      onSession(next);
    } catch (error) {
      if (mine !== latest.current) return;
      const { status, message } = error as Problem;
      if (status === 404) return setByToken(true);
      if (byHand) setProblem(message);
      setTrouble(({ times }) => ({ times: times + 1, why: byHand ? "" : message }));
    }
  }, [onSession]);

  // Signed in as demo at first, and from then on renewed in time, whoever it is.
  useEffect(() => {
    if (byToken) return;
    const good = session !== undefined && session.token !== expired;
    const wait = Math.max(good ? session.expiresAt - Date.now() - RENEW_BEFORE_MS : 0, good || trouble.times > 0 ? RETRY_MS : 0);
    const renew = () => void enter(session?.customer ?? "demo", session?.operator ?? false, false);
    const timer = setTimeout(renew, Math.min(wait, LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  }, [session, expired, byToken, trouble.times, enter]);

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (!byToken) return void enter(customer.trim(), operator, true);
    try {
      onSession(sessionOf(String(new FormData(event.currentTarget).get("token")).trim()));
      setProblem("");
      event.currentTarget.reset();
    } catch (error) {
      setProblem((error as Problem).message);
    }
  };

  return (
    <header className="top">
      <h1>Orderwire</h1>
      <form onSubmit={submit} aria-label="Sign in">
        {byToken ? (
          <label>Token <input name="token" type="password" required autoComplete="off" /></label>
        ) : (
          <>
            <label>Customer <input value={customer} onChange={(e) => setCustomer(e.target.value)} required maxLength={128} size={10} autoComplete="off" /></label>
            <label className="check"><input type="checkbox" checked={operator} onChange={(e) => setOperator(e.target.checked)} /> operator</label>
          </>
        )}
        <button className="plain">Sign in</button>
        {session && <span className="who" role="status">signed in as <b>{session.customer}</b>{session.operator && ", operator"}</span>}
        {problem && <span role="alert" className="problem">{problem}</span>}
        {!session && trouble.why && <span role="alert" className="problem">{trouble.why} Trying again.</span>}
      </form>
    </header>
  );
}
