"""Violation of expectation: is a model surprised by the impossible, in view and behind a screen?"""
