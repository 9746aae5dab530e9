"""nginx"""
