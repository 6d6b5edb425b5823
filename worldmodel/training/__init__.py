"""Objectives composed from losses, and their trainers: many updates in one compiled call."""
