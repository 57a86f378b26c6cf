"""The handlers as plain functions, without a host: `PYTHONPATH=sdk python3 -m unittest`."""

import unittest

from app import Greeting, greet
from windlass_guest import Fatal
from windlass_guest.testing import TestContext, run


class Greet(unittest.TestCase):
    def test_somebody_is_greeted(self) -> None:
        test = TestContext()
        self.assertEqual(greet(test.context(), Greeting("Ada")), "Hello, Ada!")
        self.assertEqual(test.logs, [("info", "greeting Ada")])

    def test_nobody_is_not_greeted(self) -> None:
        with self.assertRaises(Fatal):
            run(greet, {"name": ""})  # its payload is read as on a host
