"""What tests of runs share."""

from __future__ import annotations

from move37.observer import Observer


class Diary(Observer):
    """Writes down what it hears."""

    def __init__(self):
        self.heard, self.records, self.warnings, self.summary = [], [], [], None

    def start(self, info):
        self.heard.append("start")
        self.info = info

    def update(self, record):
        self.records.append(record)

    def warn(self, text):
        self.warnings.append(text)

    def finish(self, summary):
        self.heard.append("finish")
        self.summary = summary

    def idle(self, summary, text):
        self.heard.append("idle")
        self.summary, self.text = summary, text

    def close(self):
        self.heard.append("close")


def plain(records):
    """Records without times, in which NaN equals NaN."""
    return [{k: repr(v) for k, v in r.items() if not k.startswith("time/")} for r in records]
