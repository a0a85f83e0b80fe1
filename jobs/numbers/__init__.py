"""How do files, printed lines and event files of a guest program become numbers?"""
