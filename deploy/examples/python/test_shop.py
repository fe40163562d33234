"""How a team that writes Python tests its own code against a real Orderwire. Standard library only.

    ORDERWIRE_BIN=…/bin python3 -m unittest test_shop
"""

import json
import os
import subprocess
import unittest
import urllib.error
import urllib.request


class Orderwire:
    """A whole Orderwire on free ports; gone when the with block ends."""

    def __enter__(self):
        orderctl = os.path.join(os.environ["ORDERWIRE_BIN"], "orderctl")
        self.process = subprocess.Popen(
            [orderctl, "up", "--ephemeral", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"orderctl ended with {self.process.wait()}")
        self.info = json.loads(line)
        self.gateway, self.operator = self.info["gateway"], self.info["token"]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()  # the sign to end
        self.process.stdout.close()
        if self.process.wait(timeout=30) != 0:
            raise RuntimeError(f"orderctl ended with {self.process.returncode}")

    def call(self, method, path, body=None, token=None):
        """Gives the decoded answer; a refusal raises urllib.error.HTTPError."""
        request = urllib.request.Request(self.gateway + path, method=method)
        if token:
            request.add_header("Authorization", "Bearer " + token)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def token(self, customer):
        return self.call("POST", "/dev/token", {"customer": customer})["token"]

    def events(self, token):
        """Yields events as they happen; the first one says that the subscription is there."""
        request = urllib.request.Request(self.gateway + "/v1/events")
        request.add_header("Authorization", "Bearer " + token)
        request.add_header("Accept", "text/event-stream")
        with urllib.request.urlopen(request, timeout=30) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])


class ShopTest(unittest.TestCase):
    def test_an_order_is_watched_from_placed_to_scheduled(self):
        with Orderwire() as o:
            o.call("PUT", "/v1/products/mug", {"name": "Mug", "unitPrice": {"amount": 1250, "currency": "EUR"}}, o.operator)
            o.call("POST", "/v1/stock/mug/adjustments", {"quantity": 10, "reason": "test"}, o.operator)
            alice = o.token("alice")
            events = o.events(alice)
            self.assertEqual("notifier.subscribed", next(events)["type"])

            order = o.call("POST", "/v1/orders", {
                "items": [{"sku": "mug", "quantity": 2}],
                "shippingAddress": {
                    "name": "Alice", "street": "1 Main Street", "city": "Berlin", "postalCode": "10115", "country": "DE",
                },
            }, alice)
            missing = {"order-created", "stock-reserved", "shipment-scheduled"}
            for event in events:
                missing.discard(event["type"])
                if not missing:
                    break
            events.close()
            self.assertEqual(8, o.call("GET", "/v1/stock/mug")["available"])

            with self.assertRaises(urllib.error.HTTPError) as refused:
                o.call("GET", "/v1/orders/" + order["id"], token=o.token("bob"))
            self.assertEqual(404, refused.exception.code)
            refused.exception.close()


if __name__ == "__main__":
    unittest.main()
