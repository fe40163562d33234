import type { Light } from "./push";

const SAYS: Record<Light, string> = {
  connecting: "connecting", "catching up": "catching up", live: "live",
  offline: "offline, trying again", refused: "not connected",
};

/** Lamp is the connection light: in words as well, and told to those who do not see it. */
export function Lamp({ light, why, onRetry }: { light: Light; why?: string; onRetry(): void }) {
  return (
    <div className="light" data-light={light}>
      <span role="status"><span className="lamp" aria-hidden="true" />{SAYS[light]}{why && `: ${why}`}</span>
      {(light === "offline" || light === "refused") && <button className="plain small" onClick={onRetry}>Try now</button>}
    </div>
  );
}
